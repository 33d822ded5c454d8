"""A JSON schema's properties as rows of a table."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from reference.markdown import code, one_line

Schema = Mapping[str, object]
Link = Callable[[str], str]
"""How a named schema is referred to."""

HEADS: Final = ("key", "type", "default", "range", "meaning")

_BOUNDS: Final = (
    ("minimum", "from {}"),
    ("ge", "from {}"),
    ("exclusiveMinimum", "above {}"),
    ("gt", "above {}"),
    ("maximum", "to {}"),
    ("le", "to {}"),
)
_LENGTHS: Final = {"string": "characters", "array": "entries"}
_WORDS: Final = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true, false",
    "null": "null",
}
_MANY: Final = 10_000
"""The bound of every list, which is not told again with each."""


def rows(schema: Schema, link: Link) -> Iterator[Sequence[str]]:
    """Each property: its name, type, default, range and meaning."""
    required = schema.get("required", [])
    assert isinstance(required, list), "a schema lists what is required"
    for key, value in mapping(schema.get("properties")).items():
        one = mapping(value)
        default = "required" if key in required else _default(one)
        meaning = one_line(str(one.get("description", "")))
        yield code(key), type_of(one, link), default, range_of(one), meaning


def mapping(value: object) -> Schema:
    """An object of a schema; empty where there is none."""
    return value if isinstance(value, Mapping) else {}


def named(reference: str) -> str:
    """The name of the schema that a reference leads to."""
    return reference.rpartition("/")[2]


def type_of(schema: Schema, link: Link) -> str:
    """What values are allowed, in a few words."""
    if "$ref" in schema:
        return link(named(str(schema["$ref"])))
    if "enum" in schema or "const" in schema:
        allowed = schema.get("enum", [schema.get("const")])
        assert isinstance(allowed, list), "a schema lists its choices"
        return ", ".join(code(str(each)) for each in allowed)
    if schema.get("writeOnly"):
        return "secret"
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return _alternatives(schema[several], link)
    return _plain_type(schema, link)


def _alternatives(value: object, link: Link) -> str:
    assert isinstance(value, list), "alternatives are a list"
    kinds = [type_of(mapping(each), link) for each in value]
    kinds = [kind for kind in dict.fromkeys(kinds) if kind != "null"]
    if "secret" in kinds:
        return "secret"
    # An amount may be written as text, so that none is ever read as a float.
    if set(kinds) in ({"number", "text"}, {"whole number", "number", "text"}):
        return "number"
    return " or ".join(kinds)


def _plain_type(schema: Schema, link: Link) -> str:
    kind = str(schema.get("type"))
    if kind == "array":
        return f"list of {type_of(mapping(schema.get('items')), link)}"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"{type_of(values, link) if isinstance(values, Mapping) else 'values'} by name"
    return _WORDS.get(kind, "anything")


def _default(schema: Schema) -> str:
    value = schema.get("default")
    if isinstance(value, Mapping) and set(value) != {"type"}:
        return ""
    if value in (None, "", [], {}):
        return ""
    return code(json.dumps(value, ensure_ascii=False).strip('"'))


def range_of(schema: Schema) -> str:
    """Bounds of a value or, in a list of alternatives, of the first that has some."""
    alternatives = schema.get("anyOf")
    parts = [schema, *(alternatives if isinstance(alternatives, list) else [])]
    return next((found for each in parts if (found := _bounds(mapping(each)))), "")


def _bounds(schema: Schema) -> str:
    said = [words.format(_number(schema[key])) for key, words in _BOUNDS if key in schema]
    unit = _LENGTHS.get(str(schema.get("type")), "")
    if "minLength" in schema or "minItems" in schema:
        least = schema.get("minLength", schema.get("minItems"))
        said.append(f"at least {_number(least)} {unit}" if least != 1 else "not empty")
    most = schema.get("maxLength", schema.get("maxItems"))
    if unit and most is not None and most != _MANY:
        said.append(f"at most {_number(most)} {unit}")
    return ", ".join(said)


def _number(value: object) -> str:
    number = float(str(value))
    return f"{int(number):,}" if number == int(number) else str(value)
