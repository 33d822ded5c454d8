"""Compiles what an operator wrote as body, headers and query of a request."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import orjson
from pydantic import JsonValue

from buyers.authentication import Resolve
from buyers.rendering import (
    Pieces,
    Slot,
    encoded,
    form_text,
    header_text,
    join,
    json_text,
    json_value,
    query_text,
    slot,
    text_parts,
    xml_text,
)
from buyers.tokens import CallerIdRule, Occasion
from config.credentials import SentValue
from config.secret_values import Secret
from config.template_syntax import Literal, Template, TemplateError, Token, parse_template

Part = bytes | Slot


class TemplateFaultError(ValueError):
    """A template that can't be compiled; the message says why."""


def compile_body(format_: str, body: JsonValue, caller_id: CallerIdRule) -> Pieces:
    """A body template of format ``json``, ``form`` or ``xml``. Raises TemplateFaultError."""
    try:
        return _BODIES[format_](body, caller_id)
    except TemplateError as error:
        raise TemplateFaultError(str(error)) from None


def _json_body(body: JsonValue, caller_id: CallerIdRule) -> Pieces:
    if isinstance(body, str) and _is_json_text(body):
        return join(_json_text_parts(body, caller_id))
    return join(_json_parts(body, caller_id))


def _json_parts(value: JsonValue, caller_id: CallerIdRule) -> Iterator[Part]:
    if isinstance(value, str):
        yield from _json_string(parse_template(value), caller_id)
    elif isinstance(value, dict):
        yield b"{"
        for index, (key, item) in enumerate(value.items()):
            yield (b"," if index else b"") + orjson.dumps(key) + b":"
            yield from _json_parts(item, caller_id)
        yield b"}"
    elif isinstance(value, list):
        yield b"["
        for index, item in enumerate(value):
            yield b"," if index else b""
            yield from _json_parts(item, caller_id)
        yield b"]"
    else:
        yield orjson.dumps(value)


def _json_string(template: Template, caller_id: CallerIdRule) -> Iterator[Part]:
    alone = template.single_token
    if alone is not None:
        yield slot(alone, json_value, caller_id)
    else:
        yield b'"'
        yield from text_parts(template, json_text, json_text, caller_id)
        yield b'"'


def _is_json_text(body: str) -> bool:
    text = body.lstrip()
    return text.startswith("[") or (text.startswith("{") and not text.startswith("{{"))


def _json_text_parts(body: str, caller_id: CallerIdRule) -> list[Part]:
    """JSON written as text; a token that is alone in its string, or outside, keeps its type."""
    texts, tokens = _split(parse_template(body))
    parts: list[Part] = []
    inside = False
    for index, token in enumerate(tokens):
        before, after = texts[index], texts[index + 1]
        opens = before.endswith('"') and not _ends_inside(before[:-1], inside=inside)
        if opens and after.startswith('"'):
            before, texts[index + 1] = before[:-1], after[1:]
        inside = _ends_inside(before, inside=inside)
        encode = json_text if inside else json_value
        parts += [encoded(before), slot(token, encode, caller_id)]
    parts.append(encoded(texts[-1]))
    _check_json(parts)
    return parts


def _split(template: Template) -> tuple[list[str], list[Token]]:
    """The texts around the tokens, one more than there are tokens."""
    texts = [""]
    tokens: list[Token] = []
    for part in template.parts:
        if isinstance(part, Literal):
            texts[-1] += part.text
        else:
            tokens.append(part)
            texts.append("")
    return texts, tokens


def _ends_inside(text: str, *, inside: bool) -> bool:
    """Whether the end of a stretch of JSON lies inside a string."""
    escaped = False
    for character in text:
        if escaped:
            escaped = False
        elif character == "\\" and inside:
            escaped = True
        elif character == '"':
            inside = not inside
    return inside


def _check_json(parts: list[Part]) -> None:
    try:
        json.loads(b"".join(part if isinstance(part, bytes) else b"0" for part in parts))
    except (ValueError, RecursionError):
        raise TemplateFaultError("the body is not JSON once its tokens are filled in") from None


def _form_body(body: JsonValue, caller_id: CallerIdRule) -> Pieces:
    if isinstance(body, str):
        return join(text_parts(parse_template(body), encoded, form_text, caller_id))
    if not isinstance(body, dict):
        raise TemplateFaultError("a form's body must be a mapping or text")
    parts: list[Part] = []
    for name, value in body.items():
        for item in value if isinstance(value, list) else [value]:
            parts.append((b"&" if parts else b"") + form_text(name) + b"=")
            parts += _form_value(item, caller_id)
    return join(parts)


def _form_value(value: JsonValue, caller_id: CallerIdRule) -> list[Part]:
    if isinstance(value, dict | list):
        raise TemplateFaultError("a form's value must be text, a number or a list of these")
    if isinstance(value, str):
        return list(text_parts(parse_template(value), form_text, form_text, caller_id))
    return [form_text(value)]


def _xml_body(body: JsonValue, caller_id: CallerIdRule) -> Pieces:
    if not isinstance(body, str):
        raise TemplateFaultError("an XML body must be text that is the whole document")
    return join(text_parts(parse_template(body), encoded, xml_text, caller_id))


_BODIES: Mapping[str, Callable[[JsonValue, CallerIdRule], Pieces]] = {
    "json": _json_body,
    "form": _form_body,
    "xml": _xml_body,
}


def compile_query(
    query: Mapping[str, SentValue], caller_id: CallerIdRule, resolve: Resolve
) -> Pieces:
    """``name=value`` pairs joined by ``&``; a missing value is sent as an empty one.

    Raises SecretUnavailableError.
    """
    parts: list[Part] = []
    for name, text in query.items():
        parts.append((b"&" if parts else b"") + query_text(name) + b"=")
        if isinstance(text, Secret):
            parts.append(query_text(resolve(text)))
        else:
            parts += text_parts(parse_template(text), query_text, query_text, caller_id)
    return join(parts)


@dataclass(frozen=True, slots=True)
class HeaderTemplate:
    """A header, whose value may depend on the call."""

    name: str
    pieces: Pieces

    def render(self, occasion: Occasion) -> str:
        """The value, empty where all that it names is missing."""
        return self.pieces.render(occasion).decode().strip()


def compile_header(
    name: str, text: SentValue, caller_id: CallerIdRule, resolve: Resolve
) -> HeaderTemplate:
    """One header; control characters never reach its value. Raises SecretUnavailableError."""
    if isinstance(text, Secret):
        return HeaderTemplate(name, join([header_text(resolve(text))]))
    parts = text_parts(parse_template(text), header_text, header_text, caller_id)
    return HeaderTemplate(name, join(parts))
