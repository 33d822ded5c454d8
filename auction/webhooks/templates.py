"""What an operator wrote as body or header of a webhook, filled in with one event."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Final

from pydantic import JsonValue

from buyers.rendering import encoded, form_text, header_text, json_value, xml_text
from buyers.wording import text_of
from config.template_syntax import Literal, Template, Token, parse_template

Values = Mapping[str, object]
"""What tokens stand for, by name; one that is absent is missing."""

Fill = Callable[[Values], bytes]
"""Gives the bytes of one event."""

_Node = Callable[[Values], object]
_Escape = Callable[[object], bytes]

_MARK: Final = "\0"


def compile_body(format_: str, body: JsonValue) -> Fill:
    """A body template of format ``json``, ``form`` or ``xml``. Raises TemplateError, ValueError."""
    return _FORMATS[format_](body)


def compile_header(text: str) -> Callable[[Values], str]:
    """A header's value; control characters never reach it."""
    fill = _text(parse_template(text, any_token=True), encoded, header_text)
    return lambda values: fill(values).decode().strip()


def _value(token: Token, values: Values) -> object:
    at = datetime.fromisoformat(str(values["at"])) if token.asks_when else None
    return token.apply(values.get(token.name), at)


def _text(template: Template, literal: Callable[[str], bytes], escape: _Escape) -> Fill:
    parts = [literal(part.text) if isinstance(part, Literal) else part for part in template.parts]
    return lambda values: b"".join(
        part if isinstance(part, bytes) else escape(_value(part, values)) for part in parts
    )


def _json(body: JsonValue) -> Fill:
    if isinstance(body, str) and _is_json_text(body):
        node = _json_text(body)
    else:
        node = _json_node(body, lambda text: parse_template(text, any_token=True))
    return lambda values: json_value(node(values))


def _json_node(value: JsonValue, read: Callable[[str], Template]) -> _Node:
    if isinstance(value, str):
        return _json_string(read(value))
    if isinstance(value, dict):
        items = {key: _json_node(item, read) for key, item in value.items()}
        return lambda values: {key: node(values) for key, node in items.items()}
    if isinstance(value, list):
        nodes = [_json_node(item, read) for item in value]
        return lambda values: [node(values) for node in nodes]
    return lambda _: value


def _json_string(template: Template) -> _Node:
    alone = template.single_token
    if alone is not None:
        return lambda values: _value(alone, values)
    return lambda values: "".join(
        part.text if isinstance(part, Literal) else text_of(_value(part, values)) or ""
        for part in template.parts
    )


def _is_json_text(body: str) -> bool:
    text = body.lstrip()
    return text.startswith("[") or (text.startswith("{") and not text.startswith("{{"))


def _json_text(body: str) -> _Node:
    """JSON written as text: its tokens are marked by their number while it is parsed."""
    tokens: list[Token] = []
    marked = ""
    inside = False
    for part in parse_template(body, any_token=True).parts:
        if isinstance(part, Literal):
            marked += part.text
            inside = _ends_inside(part.text, inside=inside)
        else:
            mark = f"{_MARK}{len(tokens)}{_MARK}"
            marked += mark if inside else f'"{mark}"'
            tokens.append(part)
    return _json_node(
        json.loads(marked, strict=False), lambda text: Template(tuple(_unmarked(text, tokens)))
    )


def _unmarked(text: str, tokens: list[Token]) -> Iterator[Literal | Token]:
    for index, piece in enumerate(text.split(_MARK)):
        if index % 2:
            yield tokens[int(piece)]
        elif piece:
            yield Literal(piece)


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


def _form(body: JsonValue) -> Fill:
    if isinstance(body, str):
        return _text(parse_template(body, any_token=True), encoded, form_text)
    if not isinstance(body, dict):
        raise ValueError("a form's body must be a mapping or text")
    pairs = [
        (form_text(name) + b"=", _form_value(item))
        for name, value in body.items()
        for item in (value if isinstance(value, list) else [value])
    ]
    return lambda values: b"&".join(name + fill(values) for name, fill in pairs)


def _form_value(value: JsonValue) -> Fill:
    if isinstance(value, str):
        return _text(parse_template(value, any_token=True), form_text, form_text)
    fixed = form_text(value)
    return lambda _: fixed


def _xml(body: JsonValue) -> Fill:
    if not isinstance(body, str):
        raise ValueError("an XML body must be text that is the whole document")
    return _text(parse_template(body, any_token=True), encoded, xml_text)


_FORMATS: Final[Mapping[str, Callable[[JsonValue], Fill]]] = {
    "json": _json,
    "form": _form,
    "xml": _xml,
}
