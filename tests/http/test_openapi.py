"""The OpenAPI document and its page: of every route, true of what is answered, asking nobody."""

import asyncio
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from auction.web.management.resources import RESOURCES
from config.secret_box import new_key
from storage.database import Database
from tests.http.managed_steps import EXAMPLES, ask, managing
from tests.service_process import TOKEN, ServiceProcess, Switch, a_service, a_switch
from tests.unit.config.samples import ACCEPTANCE, SET

UNCHECKED = (
    # The models say more than a schema can: what fits the schema may still be refused.
    "positive_data_acceptance",
    # Of /v1/calls/next a GET is one of a call with that id.
    "allow_header_conformance",
)


ALIKE = "|".join(resource.path for resource in RESOURCES)
"""The generic management API: one set of handlers answers for all of these."""

SHORT_FORM = f"""
[generation]
max-examples = 2

[[operations]]
include-path-regex = "^/v1/({ALIKE})(/|$)"
generation.max-examples = 1
"""
LONG_FORM = "[generation]\nmax-examples = 25\n"


async def document(database: Database) -> dict[str, Any]:
    async with managing(database, None) as api:
        reply = await ask(api, "GET", "/openapi.json", token="nobody")
        assert reply.status == 200
        found: dict[str, Any] = reply.json()
        return found


async def test_the_real_service_answers_as_its_document_says(
    dsn: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    environment = {"PINGPOST_DSN": dsn, "PINGPOST_SECRET_KEY": new_key(), **SET}
    arguments = ("--marketplace", str(ACCEPTANCE))
    async with (
        a_service(tmp_path / "data", *arguments, environment=environment) as service,
        a_switch() as switch,
    ):
        await answers_on_a_call_fit(service, switch)
        thorough = request.config.getoption("--all-steps")
        phases = "coverage,fuzzing,stateful" if thorough else "fuzzing"
        (tmp_path / "schemathesis.toml").write_text(LONG_FORM if thorough else SHORT_FORM)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"),
            *("run", f"{service.url}/openapi.json", "-H", f"Authorization: Bearer {TOKEN}"),
            *("--phases", phases, "--seed", "1", "--no-shrink"),
            *("--exclude-checks", ",".join(UNCHECKED), "--suppress-health-check", "all"),
            *("--warnings", "off", "--no-color"),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        # An operation that no example was made for is counted as skipped.
        selected = re.search(r"Selected: (\d+)/\1\s+Tested: \1\n", output.decode())
        assert selected, output.decode()


async def answers_on_a_call_fit(service: ServiceProcess, switch: Switch) -> None:
    """What random requests seldom reach: a call that is routed, its record, its list."""
    async with switch.session.get(f"{service.url}/openapi.json") as response:
        components = (await response.json())["components"]

    def check(name: str, answer: object) -> None:
        schema = {"$ref": f"#/components/schemas/{name}", "components": components}
        jsonschema_rs.validate(schema, answer)

    fields = {"vertical": "auto_insurance", "zip_code": "90210"}
    route = await switch.route(service, call_id="c-1", campaign="auto-insurance", fields=fields)
    assert route["action"] == "route"
    check("Route", route)
    check("CallShown", await switch.record(service, "c-1"))
    listed = await shown(service, switch, "/v1/calls")
    check("CallsListed", listed)
    for path, name in {
        "reports/offers?compare=previous": "ReportShown",
        "offers/acme-auto/usage": "OfferUsage",
        "offers/acme-auto/summary": "OfferSummary",
        "reports/offers/acme-auto/reasons": "OfferReasonsShown",
    }.items():
        check(name, await shown(service, switch, f"/v1/{path}"))
    with pytest.raises(jsonschema_rs.ValidationError):
        check("CallsListed", {**listed, "next": 1})


async def shown(service: ServiceProcess, switch: Switch, path: str) -> dict[str, Any]:
    async with switch.session.get(f"{service.url}{path}") as response:
        assert response.status == 200, await response.text()
        found: dict[str, Any] = await response.json()
        return found


async def test_every_kind_of_object_is_described_as_its_examples_are(database: Database) -> None:
    described = await document(database)
    for resource in RESOURCES:
        paths = described["paths"]
        assert {"get", "post"} <= set(paths[f"/v1/{resource.path}"])
        assert {"get", "put", "patch", "delete"} <= set(paths[f"/v1/{resource.path}/{{id}}"])
        schema = described["components"]["schemas"][resource.model.__name__]
        assert set(EXAMPLES[resource.path]) <= set(schema["properties"])
        assert not set(resource.nested) & set(schema["properties"])
        assert schema["additionalProperties"] is False


async def test_every_operation_has_a_name_a_summary_and_its_problems(database: Database) -> None:
    described = await document(database)
    assert described["openapi"] == "3.1.0"
    every = [each for methods in described["paths"].values() for each in methods.values()]
    names = [each["operationId"] for each in every]
    assert len(names) == len(set(names))
    for each in every:
        assert each["summary"], each["operationId"]
        assert {"401", "403", "503"} <= set(each["responses"])
        assert "500" not in each["responses"]


async def test_every_reference_leads_somewhere(database: Database) -> None:
    described = await document(database)
    references = set(re.findall(r"'\$ref': '#/components/(\w+)/([^']+)'", str(described)))
    assert references
    for group, name in references:
        assert name in described["components"][group], name


async def test_every_default_fits_its_schema(database: Database) -> None:
    described = await document(database)
    found = list(with_defaults(described))
    assert found
    for each in found:
        rooted = {**each, "components": described["components"]}
        assert jsonschema_rs.is_valid(rooted, each["default"]), each


def with_defaults(part: object) -> Iterator[dict[str, Any]]:
    """Every schema that has a default."""
    if isinstance(part, dict):
        if "default" in part and {"type", "anyOf", "$ref"} & part.keys():
            yield part
        for each in part.values():
            yield from with_defaults(each)
    elif isinstance(part, list):
        for each in part:
            yield from with_defaults(each)


async def test_the_page_asks_nobody_else(database: Database) -> None:
    async with managing(database, None) as api:
        page = await ask(api, "GET", "/docs", token="nobody")
        assert page.status == 200
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert not re.search(rb"(src|href)=.(https?:)?//|https?://|@import|url\(", page.body)
        assert b'fetch("/openapi.json")' in page.body
