"""Answer templates, compiled once and filled in per request.

Written apart from the engine's templates and mappings on purpose: a mistake there must not be
repeated here.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote_plus
from xml.sax.saxutils import escape

import orjson
from pydantic import JsonValue

from buyers.simulator.behaviour import Bare

Format = Literal["json", "xml", "form", "text"]
Encode = Callable[[str], str]

_TOKEN = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_IN_TEXT, _BARE = "\ue000", "\ue001"
_MARKED = re.compile(f'"{_BARE}(.*?){_BARE}"|{_IN_TEXT}(.*?){_IN_TEXT}')
_DRAWN = ("amount", "bid_id")


def tokens_of(template: JsonValue) -> frozenset[str]:
    """The names of the tokens that a template uses."""
    if isinstance(template, str):
        return frozenset(_TOKEN.findall(template))
    if isinstance(template, dict):
        return frozenset().union(*map(tokens_of, template.values()))
    if isinstance(template, list):
        return frozenset().union(*map(tokens_of, template))
    return frozenset()


@dataclass(frozen=True, slots=True)
class Body:
    """A compiled template: fixed parts, and 0 (amount) or 1 (bid id) where a drawn value goes."""

    parts: tuple[bytes | int, ...]
    quoted: bool = False

    def render(self, amount: str, bid_id: str) -> bytes:
        """The body with both values filled in."""
        if len(self.parts) == 1 and isinstance(self.parts[0], bytes):
            return self.parts[0]
        encode = quote_plus if self.quoted else str
        drawn = (encode(amount).encode(), encode(bid_id).encode())
        return b"".join([drawn[part] if isinstance(part, int) else part for part in self.parts])


def compile_body(
    kind: Format,
    template: JsonValue,
    values: Mapping[str, object],
    *,
    amount_as_number: bool,
    prefix: str = "",
) -> Body:
    """Bind every token but those drawn per request; ``values`` may fix the amount too.

    A token without a value becomes nothing: its key goes from JSON and forms, its text is empty
    elsewhere.
    """
    binding = _Binding(values, amount_as_number=amount_as_number)
    if kind == "json":
        marked = orjson.dumps(binding.in_json(template)).decode()
    elif kind == "form":
        marked = binding.in_form(template)
    else:
        marked = binding.in_text(str(template), escape if kind == "xml" else str)
    return Body(_split(prefix + marked), quoted=kind == "form")


class _Missing:
    """A key without a value."""


_MISSING = _Missing()


class _Binding:
    """Templates with all fixed tokens replaced, and marks where drawn values go."""

    def __init__(self, values: Mapping[str, object], *, amount_as_number: bool) -> None:
        self._values = values
        self._amount_as_number = amount_as_number

    def in_json(self, template: JsonValue) -> object:
        if isinstance(template, dict):
            bound = {key: self.in_json(value) for key, value in template.items()}
            return {key: value for key, value in bound.items() if value is not _MISSING}
        if isinstance(template, list):
            return [value for value in map(self.in_json, template) if value is not _MISSING]
        if not isinstance(template, str):
            return template
        alone = _TOKEN.fullmatch(template)
        return self._typed(alone[1]) if alone else self.in_text(template, str)

    def in_form(self, template: JsonValue) -> str:
        fields = template if isinstance(template, dict) else {}
        pairs = []
        for key, value in fields.items():
            if self.in_json(value) is not _MISSING:
                text = self.in_text(_form_text(value), quote_plus, quote_plus)
                pairs.append(f"{quote_plus(key)}={text}")
        return "&".join(pairs)

    def in_text(self, template: str, encode: Encode, literal: Encode = str) -> str:
        pieces = _TOKEN.split(template)
        pieces[::2] = map(literal, pieces[::2])
        pieces[1::2] = [self._text(token, encode) for token in pieces[1::2]]
        return "".join(pieces)

    def _typed(self, token: str) -> object:
        value = self._values.get(token, _MISSING)
        bare = token == _DRAWN[0] and self._amount_as_number
        if token in _DRAWN and value is _MISSING:
            return f"{_BARE}{token}{_BARE}" if bare else _mark(token)
        if value is None or value is _MISSING:
            return _MISSING
        return f"{_BARE}={value}{_BARE}" if bare or isinstance(value, Bare) else value

    def _text(self, token: str, encode: Encode) -> str:
        value = self._values.get(token, _MISSING)
        if token in _DRAWN and value is _MISSING:
            return _mark(token)
        return "" if value is None or value is _MISSING else encode(str(value))


def _mark(token: str) -> str:
    return f"{_IN_TEXT}{token}{_IN_TEXT}"


def _form_text(value: JsonValue) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _split(marked: str) -> tuple[bytes | int, ...]:
    parts: list[bytes | int] = []
    end = 0
    for match in _MARKED.finditer(marked):
        parts.append(marked[end : match.start()].encode())
        name = match[1] or match[2]
        parts.append(name[1:].encode() if name.startswith("=") else _DRAWN.index(name))
        end = match.end()
    parts.append(marked[end:].encode())
    return _joined(parts)


def _joined(parts: list[bytes | int]) -> tuple[bytes | int, ...]:
    joined: list[bytes | int] = []
    for part in parts:
        last = joined[-1] if joined else None
        if isinstance(part, bytes) and isinstance(last, bytes):
            joined[-1] = last + part
        elif part != b"":
            joined.append(part)
    return tuple(joined) or (b"",)
