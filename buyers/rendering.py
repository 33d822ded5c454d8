"""Compiled templates: what is constant is bytes already, a request only fills in its values."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

import orjson

from buyers.tokens import CallerIdRule, Getter, Occasion, compile_token
from buyers.wording import text_of
from config.template_syntax import Literal, Template, Token

Slot = Callable[[Occasion], bytes]
"""Gives the escaped bytes of one gap."""

Encode = Callable[[object], bytes]
"""Escapes a value for one place; None is a value that is missing."""

_XML_QUOTES = {'"': "&quot;", "'": "&apos;"}
_NO_XML_CHARACTER = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Pieces:
    """Constant bytes and gaps, in order."""

    parts: tuple[bytes | Slot, ...]

    @property
    def constant(self) -> bool:
        """Whether every request gets the same bytes."""
        return not any(callable(part) for part in self.parts)

    @property
    def text(self) -> str:
        """The constant parts alone."""
        return b"".join(part for part in self.parts if isinstance(part, bytes)).decode()

    def render(self, occasion: Occasion) -> bytes:
        """The bytes of one request."""
        return b"".join(
            [part if isinstance(part, bytes) else part(occasion) for part in self.parts]
        )


def join(parts: Iterable[bytes | Slot]) -> Pieces:
    """Pieces with neighbouring constants made one."""
    joined: list[bytes | Slot] = []
    for part in parts:
        last = joined[-1] if joined else None
        if isinstance(part, bytes) and isinstance(last, bytes):
            joined[-1] = last + part
        else:
            joined.append(part)
    return Pieces(tuple(joined))


def slot(token: Token, encode: Encode, caller_id: CallerIdRule) -> Slot:
    """The gap that a token leaves."""
    return partial(_fill, compile_token(token, caller_id), encode)


def text_parts(
    template: Template, literal: Callable[[str], bytes], encode: Encode, caller_id: CallerIdRule
) -> Sequence[bytes | Slot]:
    """A template's parts: literals through ``literal``, values through ``encode``."""
    return [
        literal(part.text) if isinstance(part, Literal) else slot(part, encode, caller_id)
        for part in template.parts
    ]


def _fill(getter: Getter, encode: Encode, occasion: Occasion) -> bytes:
    return encode(getter(occasion))


def json_value(value: object) -> bytes:
    """A value as JSON of its own type, missing as null."""
    try:
        return orjson.dumps(value, default=dict)
    except orjson.JSONEncodeError:
        # Integers beyond 64 bits and lone surrogates, which only the slow encoder takes.
        return json.dumps(value, default=dict).encode()


def json_text(value: object) -> bytes:
    """A value inside a JSON text, missing as nothing."""
    return json_value(text_of(value) or "")[1:-1]


def form_text(value: object) -> bytes:
    """A value inside a urlencoded body, missing as nothing."""
    return quote_plus(text_of(value) or "", errors="replace").encode()


def query_text(value: object) -> bytes:
    """A value inside a query, missing as nothing."""
    return quote(text_of(value) or "", safe="", errors="replace").encode()


def xml_text(value: object) -> bytes:
    """A value inside XML text or a quoted attribute; characters that XML can't hold are dropped."""
    text = _NO_XML_CHARACTER.sub("", text_of(value) or "")
    return escape(text, _XML_QUOTES).encode()


def header_text(value: object) -> bytes:
    """A value inside a header; control characters are dropped, so that no header line is added."""
    return encoded(_CONTROL.sub("", text_of(value) or ""))


def encoded(text: str) -> bytes:
    """Text as UTF-8, whatever it holds."""
    return text.encode(errors="replace")
