"""Putting the OpenAPI 3.1 document together."""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from importlib.metadata import version
from typing import Final

from aiohttp import hdrs, web

from auction.web.openapi import answers
from auction.web.openapi.access import ACCESS_OPERATIONS
from auction.web.openapi.alerts import ALERT_OPERATIONS
from auction.web.openapi.calls import CALL_OPERATIONS
from auction.web.openapi.claims import CLAIM_OPERATIONS
from auction.web.openapi.managed import managed_operations
from auction.web.openapi.numbers import NUMBER_OPERATIONS
from auction.web.openapi.operation import ALWAYS, ANY, JSON, Content, Operation, Operations, Schema
from auction.web.openapi.parameters import parameters
from auction.web.openapi.reports import REPORT_OPERATIONS
from auction.web.openapi.schemas import Name, Schemas
from auction.web.openapi.suppressions import SUPPRESSION_OPERATIONS
from auction.web.problems import CONTENT_TYPE

OPENAPI_PATH: Final = "/openapi.json"
DOCS_PATH: Final = "/docs"

_PROBLEM: Final = "Problem"
_MARKUP: Final = re.compile(r"^``[^`]*``( one)?[:,.]? *")
_HIDDEN: Final = frozenset({OPENAPI_PATH, DOCS_PATH})
_UNLISTED: Final = Operation(
    answers={},
    problems=(404, 408, 409, 412, 413, 422),
)
"""What is said of a route that no table knows."""


def operations() -> Operations:
    """Every operation that is described."""
    return {
        **ACCESS_OPERATIONS,
        **CALL_OPERATIONS,
        **CLAIM_OPERATIONS,
        **ALERT_OPERATIONS,
        **REPORT_OPERATIONS,
        **SUPPRESSION_OPERATIONS,
        **NUMBER_OPERATIONS,
        **managed_operations(),
    }


def openapi(router: web.UrlDispatcher) -> dict[str, object]:
    """The document on every route that is served."""
    known = operations()
    schemas = Schemas(_models(known.values()))
    paths: dict[str, dict[str, object]] = {}
    for method, path, handler in sorted(served(router), key=lambda each: each[:2]):
        described = _operation(schemas, method, path, handler, known.get((method, path)))
        paths.setdefault(path, {})[method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pingpost",
            "version": version("pingpost"),
            "description": "Where a call goes, what became of it, and the marketplace behind it.",
        },
        "security": [{"bearer": []}, {"key": []}, {"basic": []}],
        "paths": paths,
        "components": {
            "schemas": schemas.named,
            "responses": dict(_problem_responses()),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "basic": {"type": "http", "scheme": "basic"},
            },
        },
    }


def served(router: web.UrlDispatcher) -> Iterator[tuple[str, str, Callable[..., object]]]:
    """Method, path and handler of each public route."""
    for route in router.routes():
        path = route.resource.canonical if route.resource is not None else ""
        if route.method != hdrs.METH_HEAD and path not in _HIDDEN:
            yield route.method, path, route.handler


def _models(known: Iterable[Operation]) -> Iterator[Name]:
    yield answers.Problem, "serialization"
    for operation in known:
        for content in (operation.body, operation.query):
            if isinstance(content, type):
                yield content, "validation"
        for content in (*operation.answers.values(), *operation.other_forms):
            if isinstance(content, type):
                yield content, "serialization"


def _operation(
    schemas: Schemas,
    method: str,
    path: str,
    handler: Callable[..., object],
    known: Operation | None,
) -> dict[str, object]:
    operation = known or _UNLISTED
    text = inspect.getdoc(handler) or ""
    first, _, rest = text.partition("\n")
    described: dict[str, object] = {
        "operationId": _operation_id(method, path),
        "summary": _summary(first),
        "tags": [path.split("/")[2]],
        "parameters": parameters(schemas, path, operation),
        "responses": _responses(schemas, operation),
    }
    if rest.strip():
        described["description"] = rest.strip()
    if operation.body is not None:
        schema = {"schema": _schema(schemas, operation.body)}
        content = dict.fromkeys(operation.body_types, schema)
        described["requestBody"] = {"required": operation.body_required, "content": content}
    elif known is None and method in {hdrs.METH_POST, hdrs.METH_PUT, hdrs.METH_PATCH}:
        described["requestBody"] = {"content": {JSON: {"schema": ANY}}}
    return described


def _summary(first_line: str) -> str:
    text = _MARKUP.sub("", first_line).replace("``", "").strip()
    return text[:1].upper() + text[1:]


def _operation_id(method: str, path: str) -> str:
    words = [word for word in re.split(r"[^A-Za-z0-9]+", path) if word]
    return "_".join([method.lower(), *words[1:]])


def _responses(schemas: Schemas, operation: Operation) -> dict[str, object]:
    found: dict[str, object] = {}
    for status, content in operation.answers.items():
        response: dict[str, object] = {"description": HTTPStatus(status).phrase}
        if content is not None:
            response["content"] = {
                JSON: {"schema": _answer(schemas, content, operation)},
                **{each: {} for each in operation.other_types},
            }
        if operation.answer_headers and status < 300:
            response["headers"] = {
                name: {"schema": {"type": "string"}} for name in operation.answer_headers
            }
        found[str(status)] = response
    if not operation.answers:
        found["204"] = {"description": HTTPStatus.NO_CONTENT.phrase}
        found["2XX"] = {"description": "Done", "content": {JSON: {}, "*/*": {}}}
    for status in sorted({*ALWAYS, *operation.problems}):
        found[str(status)] = _problem(status, operation)
    return found


def _answer(schemas: Schemas, content: Content, operation: Operation) -> Schema:
    plain = _schema(schemas, content, "serialization")
    others = [_schema(schemas, each, "serialization") for each in operation.other_forms]
    return {"anyOf": [plain, *others]} if others else plain


def _problem(status: int, operation: Operation) -> Mapping[str, object]:
    if not operation.problem_types:
        return {"$ref": f"#/components/responses/{_problem_name(status)}"}
    return _problem_response(status, operation.problem_types)


def _schema(schemas: Schemas, content: Content, mode: str = "validation") -> Schema:
    if isinstance(content, str):
        return {"$ref": f"#/components/schemas/{content}"}
    if isinstance(content, type):
        return schemas.of((content, "validation" if mode == "validation" else "serialization"))
    return content or ANY


def _problem_responses() -> Iterator[tuple[str, object]]:
    for status in (400, 401, 403, 404, 408, 409, 412, 413, 415, 422, 429, 503):
        yield _problem_name(status), _problem_response(status)


def _problem_response(status: int, other_types: Iterable[str] = ()) -> Mapping[str, object]:
    schema = {"$ref": f"#/components/schemas/{_PROBLEM}"}
    return {
        "description": HTTPStatus(status).phrase,
        "content": {CONTENT_TYPE: {"schema": schema}, **{each: {} for each in other_types}},
    }


def _problem_name(status: int) -> str:
    return f"Problem{status}"
