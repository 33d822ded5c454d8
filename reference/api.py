"""The API, from the OpenAPI document of the routes that a service serves."""

import asyncio
from collections.abc import Iterator, Sequence
from functools import cache, partial
from itertools import groupby
from typing import Final
from unittest.mock import MagicMock

from aiohttp import web

from auction.assembly import CallHandling, Parts
from auction.web.openapi.document import openapi
from config.marketplace import Marketplace
from reference.markdown import anchor, code, one_line, page, table
from reference.schemas import HEADS, Link, Schema, mapping, range_of, rows, type_of

_INTRO: Final = """\
Every path of port 8080, as `/openapi.json` of a running service describes it and `/docs` shows
it. Each request carries `Authorization: Bearer TOKEN` or `X-API-Key: TOKEN`. Besides what is
listed each may answer 400, 401, 403, 429 and 503; errors are [problems](#problem). Objects of the
marketplace are told in [the marketplace file](marketplace.md)."""

_NEW: Final = "New"
_READ: Final = "-Input"
"""What pydantic calls a model of the file where an answer has one of the same name."""
_ALWAYS: Final = frozenset({"400", "401", "403", "429", "503"})


def api_page() -> str:
    """The page: operations by the first part of their path, then the objects."""
    document = asyncio.run(_document())
    schemas = mapping(mapping(document["components"])["schemas"])
    operations = list(_operations(mapping(document["paths"])))
    link = partial(_link, schemas)
    parts = (
        _section(subject, [each[1:] for each in group], link)
        for subject, group in groupby(operations, key=lambda each: each[0])
    )
    objects = _objects(schemas, link)
    return page("Reference: the API", "`auction/web/openapi/`", _INTRO, *parts, *objects)


async def _document() -> Schema:
    """The document of a service that has all its routes and nothing behind them."""
    nothing = MagicMock()
    handling = CallHandling(
        Parts(
            database=nothing,
            box=nothing,
            vault=nothing,
            marketplaces=nothing,
            tokens=nothing,
            metrics=nothing,
            drain=nothing,
            bootstrap_token=None,
            readers=1,
            load_terms=nothing,
            max_requests=1,
        )
    )
    application: web.Application = handling.application()
    return openapi(application.router)


def _operations(paths: Schema) -> Iterator[tuple[str, str, str, Schema]]:
    found = [
        (path.split("/")[2], path, method.upper(), mapping(described))
        for path, methods in paths.items()
        for method, described in mapping(methods).items()
    ]
    yield from sorted(found, key=lambda each: each[:3])


def _section(subject: str, operations: Sequence[tuple[str, str, Schema]], link: Link) -> str:
    return "\n\n".join([f"## /v1/{subject}", *(_operation(*each, link) for each in operations)])


def _operation(path: str, method: str, described: Schema, link: Link) -> str:
    lines = [f"**`{method} {path}`** {one_line(str(described.get('summary', '')))}"]
    if "description" in described:
        lines.append(one_line(str(described["description"])))
    lines += [*_parameters(described, link), *_body(described, link)]
    answers = ", ".join(_answers(mapping(described["responses"]), link))
    lines.append(f"Answers {answers}.")
    return "\n\n".join(lines)


def _parameters(described: Schema, link: Link) -> Iterator[str]:
    given = described.get("parameters", [])
    assert isinstance(given, list), "parameters are a list"
    shown = [_parameter(mapping(each), link) for each in given if mapping(each)["in"] != "path"]
    if shown:
        yield f"Takes {', '.join(shown)}."


def _parameter(described: Schema, link: Link) -> str:
    schema = mapping(described["schema"])
    said = [type_of(schema, link), range_of(schema)]
    if described["in"] == "header":
        said = ["header"]
    if described.get("required"):
        said.append("required")
    return f"{code(str(described['name']))} ({'; '.join(each for each in said if each)})"


def _body(described: Schema, link: Link) -> Iterator[str]:
    content = mapping(mapping(described.get("requestBody")).get("content"))
    if content:
        kinds = dict.fromkeys(
            type_of(mapping(mapping(each).get("schema")), link) for each in content.values()
        )
        yield f"Body: {' or '.join(kinds)} ({', '.join(code(kind) for kind in content)})."


def _answers(responses: Schema, link: Link) -> Iterator[str]:
    for status, described in responses.items():
        if status not in _ALWAYS:
            yield f"{status}{_answered(mapping(described), link)}"


def _answered(described: Schema, link: Link) -> str:
    schema = mapping(
        mapping(mapping(described.get("content")).get("application/json")).get("schema")
    )
    kind = type_of(schema, link) if schema else ""
    return f" {kind}" if kind and kind != "anything" else ""


def _objects(schemas: Schema, link: Link) -> Iterator[str]:
    """Objects that the marketplace file has not."""
    known = _of_the_file()
    yield "## Objects"
    for name, schema in schemas.items():
        if "properties" in mapping(schema) and _in_the_file(name) not in known:
            about = one_line(str(mapping(schema).get("description", "")).partition("\n\n")[0])
            yield f"### {name}\n\n{about}\n\n{table(HEADS, rows(mapping(schema), link))}"


@cache
def _of_the_file() -> frozenset[str]:
    return frozenset({"Marketplace", *mapping(Marketplace.model_json_schema()["$defs"])})


def _in_the_file(name: str) -> str:
    """What an object is called there."""
    return name.removeprefix(_NEW).removesuffix(_READ)


def _link(schemas: Schema, name: str) -> str:
    """What a named schema is told as: the objects of the file there, others below, what is none."""
    same = _in_the_file(name)
    if same in _of_the_file():
        without_id = ", its `id` may be left out" if name.startswith(_NEW) else ""
        return f"[{same}](marketplace.md#{anchor(same)}){without_id}"
    schema = mapping(schemas.get(name))
    if "properties" in schema:
        return f"[{name}](#{anchor(name)})"
    return type_of(schema, partial(_link, schemas))
