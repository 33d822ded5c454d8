"""The parameters of an operation: in its path, its query and its headers."""

import re
from collections.abc import Mapping
from typing import Final

from auction.web.openapi.operation import Operation, Schema
from auction.web.openapi.schemas import Schemas

_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_NAME: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 128}
_TAGS: Final = r'^(\*|"[0-9]{1,18}"(, "[0-9]{1,18}"){0,9})$'


def parameters(schemas: Schemas, path: str, operation: Operation) -> list[object]:
    """All of them."""
    return [*_path(path), *_query(schemas, operation), *_headers(operation)]


def _path(path: str) -> list[object]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": _NAME,
        }
        for name in _PARAMETER.findall(path)
    ]


def _query(schemas: Schemas, operation: Operation) -> list[object]:
    if not isinstance(operation.query, type):
        return [_in_query(name, each, required=False) for name, each in operation.query.items()]
    schema = schemas.query(operation.query)
    properties, required = schema["properties"], schema.get("required", [])
    assert isinstance(properties, Mapping), "a model has properties"
    assert isinstance(required, list), "required keys are a list"
    return [
        _in_query(name, _given(each), required=name in required)
        for name, each in properties.items()
    ]


def _given(schema: Mapping[str, object]) -> Schema:
    """What a query can hold: no null."""
    kinds = schema.get("anyOf")
    if not isinstance(kinds, list):
        return {key: each for key, each in schema.items() if key != "default"}
    [*given] = [each for each in kinds if each != {"type": "null"}]
    return given[0] if len(given) == 1 else {"anyOf": given}


def _in_query(name: str, schema: Schema, *, required: bool) -> dict[str, object]:
    return {"name": name, "in": "query", "required": required, "schema": schema}


def _headers(operation: Operation) -> list[object]:
    return [
        {"name": name, "in": "header", "schema": {"type": "string", "pattern": _TAGS}}
        for name in operation.headers
    ]
