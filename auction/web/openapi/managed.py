"""The operations on the marketplace's objects, from the table of resources."""

from collections.abc import Iterator
from typing import Final

from auction.web.management.answers import IN_FORCE_AT
from auction.web.management.audit import AuditRequest
from auction.web.management.resources import RESOURCES, Filter, FilterKind, Resource
from auction.web.management.schedule import PATH, ScheduledRequest
from auction.web.openapi import answers
from auction.web.openapi.operation import JSON, WITH_BODY, Operation, Operations, Schema

_MERGE_PATCH: Final = "application/merge-patch+json"
_PATCH: Final[Schema] = {"type": "object", "description": "A merge patch (RFC 7396)."}
_IDENTIFIER: Final[Schema] = {"type": "string", "pattern": "^[A-Za-z0-9_.:-]{1,64}$"}
_TEXT: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 200}
_INSTANT: Final[Schema] = {"type": "string", "format": "date-time"}
_CONDITIONS: Final = ("If-Match", "If-None-Match")
_CHANGED: Final = (*WITH_BODY, 412)


def schema_name(resource: Resource) -> str:
    """What the object is called in the document."""
    return resource.model.__name__


def new_schema_name(resource: Resource) -> str:
    """The object as it may be sent: its id is made where it has none."""
    return f"New{schema_name(resource)}"


def managed_operations() -> Operations:
    """Every operation of the management API."""
    found = {key: each for resource in RESOURCES for key, each in _of(resource)}
    waiting = answers.ScheduledChange
    return {
        **found,
        ("GET", "/v1/audit"): Operation(
            answers={200: answers.AuditListed}, query=AuditRequest, problems=(422,)
        ),
        ("GET", PATH): Operation(
            answers={200: answers.ScheduledListed}, query=ScheduledRequest, problems=(422,)
        ),
        ("GET", f"{PATH}/{{id}}"): Operation(answers={200: waiting}, problems=(404, 422)),
        ("DELETE", f"{PATH}/{{id}}"): Operation(answers={200: waiting}, problems=(404, 409, 422)),
    }


def _of(resource: Resource) -> Iterator[tuple[tuple[str, str], Operation]]:
    whole, new = schema_name(resource), new_schema_name(resource)
    everything, one = f"/v1/{resource.path}", f"/v1/{resource.path}/{{id}}"
    tagged, changed = ("ETag",), ("ETag", IN_FORCE_AT)
    yield (
        ("GET", everything),
        Operation(answers={200: _page(resource)}, query=_query(resource), problems=(422,)),
    )
    yield (
        ("POST", everything),
        Operation(
            answers={201: whole},
            body=new,
            problems=(*WITH_BODY, 409),
            answer_headers=("Location", *changed),
        ),
    )
    yield (
        ("GET", one),
        Operation(
            answers={200: whole, 304: None},
            query={"revision": {"type": "integer", "minimum": 0}},
            problems=(404, 412, 422),
            headers=_CONDITIONS,
            answer_headers=tagged,
        ),
    )
    yield (
        ("PUT", one),
        Operation(
            answers={200: whole, 201: whole},
            body=new,
            problems=(*_CHANGED, 404, 409),
            headers=_CONDITIONS,
            answer_headers=changed,
        ),
    )
    yield (
        ("PATCH", one),
        Operation(
            answers={200: whole, 202: answers.ScheduledChange},
            body=_PATCH,
            query={"effective_at": _INSTANT},
            problems=(*_CHANGED, 404, 409),
            headers=_CONDITIONS,
            body_types=(_MERGE_PATCH, JSON),
            answer_headers=changed,
        ),
    )
    yield (
        ("DELETE", one),
        Operation(
            answers={204: None},
            problems=(404, 409, 412, 422),
            headers=_CONDITIONS,
            answer_headers=(IN_FORCE_AT,),
        ),
    )
    for verb in ("pause", "resume") if resource.switchable else ():
        problems = (*_CHANGED, 404, 409)
        switched = Operation(
            answers={200: whole},
            problems=problems,
            headers=_CONDITIONS,
            answer_headers=changed,
        )
        yield ("POST", f"{one}/{verb}"), switched


def _page(resource: Resource) -> Schema:
    items = {"$ref": f"#/components/schemas/{schema_name(resource)}"}
    return {
        "type": "object",
        "required": [resource.list_name, "next"],
        "properties": {
            resource.list_name: {"type": "array", "items": items},
            "next": {"type": ["string", "null"]},
        },
    }


def _query(resource: Resource) -> dict[str, Schema]:
    return {
        "limit": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
        "after": _IDENTIFIER,
        **{name: _filter(each) for name, each in resource.filters.items()},
    }


def _filter(wanted: Filter) -> Schema:
    if wanted.kind is FilterKind.CHOICE:
        return {"type": "string", "enum": list(wanted.choices)}
    return {"type": "boolean"} if wanted.kind is FilterKind.FLAG else _TEXT
