"""``/v1/tokens`` on real sockets and a real database, and what limits do to other requests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import pytest_asyncio
from aiohttp import web

from auction.domain.ids import SourceId
from auction.known_tokens import KnownTokens
from auction.token_keeping import TokenKeeping
from auction.web.drain import Drain
from auction.web.edge import edge
from auction.web.tokens import TokenHandlers
from storage.audit import AuditWanted, read_audit
from storage.catalogue import save
from storage.catalogue_items import BUYER, SOURCE, CatalogueItem
from storage.database import Database
from storage.tokens import TokenGrant, TokenStore, hash_token
from tests.builders import a_call
from tests.eventually import eventually
from tests.http.api_fakes import (
    TOKENS,
    Api,
    FakeServices,
    a_client,
    running_api,
    serving,
)
from tests.http.managed_steps import faults
from tests.http.test_api_records import a_record

ROOT = "root"
KNOWN = (CatalogueItem(BUYER, "acme", {}), CatalogueItem(SOURCE, "p", {}))


@asynccontextmanager
async def token_api(database: Database) -> AsyncIterator[Api]:
    await save(database, KNOWN, origin="file")
    store = TokenStore(database)
    await store.start()
    of_sources = {hash_token("pub"): TokenGrant("source:p", "", frozenset({"read"}), source="p")}
    tokens = KnownTokens(store, ROOT, lambda: of_sources)
    drain, fake = Drain(), FakeServices()
    application = web.Application(middlewares=[edge(drain)])
    TokenHandlers(TokenKeeping(database), tokens, fake).add_to(application.router)
    async with serving(application) as port, a_client() as session:
        yield Api(fake, session, port, drain)
    await store.stop()


@pytest_asyncio.fixture
async def api(database: Database) -> AsyncIterator[Api]:
    async with token_api(database) as api:
        yield api


async def made(api: Api, **asked: object) -> dict[str, str]:
    reply = await api.post("/v1/tokens", {"name": "n", "scopes": ["admin"], **asked}, ROOT)
    assert reply.status == 201, reply.body
    content: dict[str, str] = reply.json()
    return content


async def test_a_token_is_told_once_and_then_only_described(api: Api) -> None:
    asked = {
        "name": "Acme's reports",
        "scopes": ["read", "postback"],
        "buyer": "acme",
        "rate_limit": {"per_second": 2.5},
        "expires_at": "2027-01-01T00:00:00Z",
    }
    reply = await api.post("/v1/tokens", asked, ROOT)
    content = reply.json()
    assert reply.status == 201
    assert reply.headers["Location"] == f"/v1/tokens/{content['id']}"
    assert reply.headers["Cache-Control"] == "no-store"
    text = content.pop("token")
    assert content == {
        "id": content["id"],
        "name": "Acme's reports",
        "scopes": ["postback", "read"],
        "buyer": "acme",
        "source": None,
        "switch": None,
        "rate_limit": {"per_second": 2.5, "burst": 3},
        "expires_at": "2027-01-01T00:00:00.000Z",
        "created_at": content["created_at"],
        "revoked_at": None,
    }
    shown = await api.get(f"/v1/tokens/{content['id']}", ROOT)
    listed = await api.get("/v1/tokens", ROOT)
    assert shown.json() == content
    assert listed.json() == {"tokens": [content], "next": None}
    assert text.encode() not in shown.body + listed.body


async def test_a_token_is_not_made_for_whom_the_marketplace_does_not_know(api: Api) -> None:
    for key in ("buyer", "source"):
        asked = {"name": "n", "scopes": ["read"], key: "nope"}
        refused = faults(await api.post("/v1/tokens", asked, ROOT))
        assert refused == {key: f"names a {key} that is not there"}
    both = {"name": "n", "scopes": ["read"], "buyer": "p", "source": "acme"}
    assert list(faults(await api.post("/v1/tokens", both, ROOT))) == ["buyer", "source"]
    assert (await api.get("/v1/tokens", ROOT)).json()["tokens"] == []


async def test_tokens_are_listed_page_by_page(api: Api) -> None:
    ids = [(await made(api))["id"] for _ in range(5)]
    first = (await api.get("/v1/tokens?limit=3", ROOT)).json()
    rest = (await api.get(f"/v1/tokens?limit=3&after={first['next']}", ROOT)).json()
    assert [each["id"] for each in first["tokens"] + rest["tokens"]] == ids
    assert rest["next"] is None


async def test_a_revoked_token_is_refused_within_a_second(api: Api) -> None:
    token = await made(api)

    async def status() -> int:
        return (await api.get("/v1/tokens", token["token"])).status

    async def works() -> bool:
        return await status() == 200

    async def is_refused() -> bool:
        return await status() == 401

    await eventually(works, within_s=1.0)
    path = f"/v1/tokens/{token['id']}"
    assert (await api.send("DELETE", path, token=ROOT)).status == 204
    await eventually(is_refused, within_s=1.0)
    assert (await api.send("DELETE", path, token=ROOT)).status == 204
    assert (await api.get(path, ROOT)).json()["revoked_at"] is not None
    assert (await api.send("DELETE", "/v1/tokens/tok_nobody", token=ROOT)).status == 404


async def test_who_made_and_revoked_a_token_is_noted(api: Api, database: Database) -> None:
    token = await made(api, scopes=["read"], source="p")
    await api.send("DELETE", f"/v1/tokens/{token['id']}", token=ROOT)
    await api.send("DELETE", f"/v1/tokens/{token['id']}", token=ROOT)
    entries = await read_audit(database, AuditWanted(kind="token", id=token["id"]))
    assert [(each.action, each.actor) for each in entries] == [
        ("delete", "bootstrap"),
        ("create", "bootstrap"),
    ]
    described = {"name": "n", "scopes": ["read"], "source": "p"}
    assert entries[0].before is not None
    assert entries[1].after is not None
    assert entries[0].before.document == entries[1].after.document == described


async def test_a_token_over_its_limit_is_told_when_to_come_back(api: Api) -> None:
    token = await made(api, rate_limit={"per_second": 0.01, "burst": 2})

    async def known() -> bool:
        return (await api.get("/v1/tokens", token["token"])).status != 401

    await eventually(known, within_s=1.0)
    assert (await api.get("/v1/tokens", token["token"])).status == 200
    refused = await api.get("/v1/tokens", token["token"])
    assert refused.status == 429
    assert 90 <= int(refused.headers["Retry-After"]) <= 100
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert (await api.get("/v1/tokens", ROOT)).status == 200


async def test_only_operators_manage_tokens_and_give_no_more_than_they_have(api: Api) -> None:
    reader, admin = await made(api, scopes=["read"]), await made(api)

    async def both_known() -> bool:
        replies = [await api.get("/v1/tokens", each["token"]) for each in (reader, admin)]
        return [reply.status for reply in replies] == [403, 200]

    await eventually(both_known, within_s=1.0)
    asked = {"name": "n", "scopes": ["read", "pii"]}
    assert (await api.post("/v1/tokens", asked, admin["token"])).status == 403
    assert (await api.post("/v1/tokens", asked, ROOT)).status == 201
    assert (await api.get("/v1/tokens", "pub")).status == 403


RAISED = {"call_id": "c1", "event_id": "e1", "type": "answered", "at": "2026-11-21T18:00:00Z"}
FAILED = {"call_id": "c1", "attempt": 1, "reason": "busy"}
CALL = {"call_id": "c1", "campaign": "auto"}


async def test_a_call_is_never_throttled_but_reading_is() -> None:
    async with running_api(FakeServices(waits_s=7.2)) as api:
        for path, body in (
            ("/v1/calls", CALL),
            ("/v1/calls/next", FAILED),
            ("/v1/calls/events", RAISED),
        ):
            for token in ("calls", "admin"):
                assert (await api.post(path, body, token)).status == 200, path
        refused = await api.get("/v1/calls/c1", "calls")
        assert (refused.status, refused.headers["Retry-After"]) == (429, "8")


async def test_a_source_reports_on_its_own_calls_alone() -> None:
    record = a_record(call=replace(a_call("c1"), source=SourceId("pub-17")))
    async with running_api(FakeServices(record_found=record)) as api:
        for path, body in (("/v1/calls/next", FAILED), ("/v1/calls/events", RAISED)):
            assert (await api.post(path, body, "pub-17")).status == 200
            assert (await api.post(path, body, "pub-18")).status == 404


async def test_a_buyers_token_reports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    grant = replace(TOKENS["acme"], scopes=frozenset({"calls"}))
    monkeypatch.setitem(TOKENS, "acme", grant)
    async with running_api() as api:
        for path, body in (
            ("/v1/calls", CALL),
            ("/v1/calls/next", FAILED),
            ("/v1/calls/events", RAISED),
        ):
            assert (await api.post(path, body, "acme")).status == 403
