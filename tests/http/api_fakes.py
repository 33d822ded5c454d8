"""The API on a real socket, over services that keep what they are given and answer as told."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import aiohttp
import orjson
from aiohttp import web
from yarl import URL

from auction.domain.call import Call
from auction.domain.call_list import RecordedEntry
from auction.domain.call_record import CallRecord
from auction.domain.ids import CallId
from auction.domain.next_attempt import NextRequest, NoSuchAttempt, UnknownCall
from auction.domain.opening import OtherContent
from auction.domain.switch_events import CallEvent, EventResult
from auction.domain.terms import Catalogue
from auction.web.api import CallLife, build_api
from auction.web.drain import Drain
from auction.web.management.routes import Managed, management
from auction.web.runner import ProblemRunner
from auction.web.services import ApiServices, Grant, Signing
from tests.builders import NOON
from tests.ledger_steps import VAULT

ANSWER = b'{"action":"no_route"}'


@dataclass(frozen=True)
class FakeGrant:
    scopes: frozenset[str]
    buyer: str | None = None
    source: str | None = None
    switch: str | None = None
    id: str = "tok_1"
    name: str = "someone"


def a_grant(*scopes: str, **limits: str) -> FakeGrant:
    return FakeGrant(frozenset(scopes), **limits)


TOKENS = {
    "calls": a_grant("calls", switch="switch-1"),
    "read": a_grant("read"),
    "admin": a_grant("admin"),
    "pii": a_grant("read", "pii"),
    "admin-pii": a_grant("admin", "pii"),
    "postback": a_grant("postback"),
    "acme": a_grant("read", buyer="acme"),
    "beacon": a_grant("read", buyer="beacon"),
    "pub-17": a_grant("calls", source="pub-17"),
    "pub-18": a_grant("calls", source="pub-18"),
}


@dataclass
class FakeServices:
    """All services in one. ``error`` is raised by all of them; ``gate`` holds decisions back."""

    answer: bytes | OtherContent = ANSWER
    event_result: EventResult = EventResult.APPLIED
    record_found: CallRecord | None = None
    catalogue: Catalogue | None = None
    error: Exception | None = None
    gate: asyncio.Event | None = None
    calls: list[tuple[Call, bytes]] = field(default_factory=list)
    events: list[CallEvent] = field(default_factory=list)
    asked_for: list[str] = field(default_factory=list)
    revisions: list[int] = field(default_factory=list)
    entries: tuple[RecordedEntry, ...] = ()
    waits_s: float = 0.0

    async def decide(self, call: Call, fingerprint: bytes) -> bytes | OtherContent:
        self._fail()
        self.calls.append((call, fingerprint))
        if self.gate is not None:
            await self.gate.wait()
        return self.answer

    async def record(self, event: CallEvent) -> EventResult:
        self._fail()
        self.events.append(event)
        return self.event_result

    async def get_call(self, call_id: CallId) -> CallRecord | None:
        self._fail()
        self.asked_for.append(call_id)
        return self.record_found

    async def get_entries(self, call_id: CallId) -> tuple[RecordedEntry, ...]:
        return self.entries

    async def catalogue_at(self, revision: int) -> Catalogue | None:
        self.revisions.append(revision)
        return self.catalogue

    async def lookup(self, token: str) -> FakeGrant | None:
        assert token.encode(), "tokens are hashed before they are looked up"
        return TOKENS.get(token)

    def wait_s(self, grant: Grant) -> float:
        return self.waits_s

    def now(self) -> datetime:
        return NOON

    def monotonic(self) -> float:
        return 0.0

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error


@dataclass
class Api:
    """A running API and a client for it."""

    services: FakeServices
    session: aiohttp.ClientSession
    port: int
    drain: Drain

    async def post(self, path: str, body: object, token: str | None = "calls") -> "Reply":
        return await self.send("POST", path, token=token, json=body)

    async def get(self, path: str, token: str | None = "read") -> "Reply":
        return await self.send("GET", path, token=token)

    async def send(
        self,
        method: str,
        path: str,
        *,
        token: str | None = "calls",
        headers: Mapping[str, str] | None = None,
        **rest: Any,
    ) -> "Reply":
        sent = {} if token is None else {"Authorization": f"Bearer {token}"}
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self.session.request(
            method, URL(url, encoded=True), headers={**sent, **(headers or {})}, **rest
        ) as response:
            return Reply(response.status, dict(response.headers), await response.read())

    async def raw(self, request: bytes) -> bytes:
        """Everything that the server says to these bytes until it closes the connection."""
        async with self.connected() as (reader, writer):
            writer.write(request)
            return await asyncio.wait_for(reader.read(), 10)

    async def head_after(self, request: bytes) -> bytes:
        """The first response head that the server sends after these bytes."""
        async with self.connected() as (reader, writer):
            writer.write(request)
            return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)

    @asynccontextmanager
    async def connected(
        self,
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A bare connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return orjson.loads(self.body)


def a_client() -> aiohttp.ClientSession:
    """A client that gives up before a test runner would."""
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))


@dataclass
class FakeRerouter:
    """Answers requests after failed attempts as told."""

    answer: bytes | OtherContent | UnknownCall | NoSuchAttempt = ANSWER
    error: Exception | None = None
    asked: list[tuple[NextRequest, int | None]] = field(default_factory=list)

    async def decide(
        self, request: NextRequest, timeout_ms: int | None
    ) -> bytes | OtherContent | UnknownCall | NoSuchAttempt:
        if self.error is not None:
            raise self.error
        self.asked.append((request, timeout_ms))
        return self.answer


class Unused:
    """Services that a test does not touch."""

    def __getattr__(self, name: str) -> Any:
        async def fail(*arguments: object, **options: object) -> Any:
            raise AssertionError(name)

        return fail


@asynccontextmanager
async def running_api(
    services: FakeServices | None = None,
    rerouter: FakeRerouter | None = None,
    *,
    max_requests: int = 100,
    managed: Managed | None = None,
    signing: Signing | None = None,
) -> AsyncIterator[Api]:
    fake, unused = services or FakeServices(), Unused()
    drain = Drain()
    application = build_api(
        ApiServices(
            reception=fake,
            rerouter=rerouter or FakeRerouter(),
            events=fake,
            records=fake,
            revisions=fake,
            tokens=fake,
            clock=fake,
            default_country=lambda: "US",
            fingerprint=VAULT.fingerprint,
            drain=drain,
            max_requests=max_requests,
            signing=signing or Signing(),
        ),
        CallLife(lists=unused, postbacks=unused, switch_calls=unused, dead_letters=unused),
        *(() if managed is None else (management(managed, fake, fake),)),
    )
    async with serving(application) as port, a_client() as session:
        yield Api(fake, session, port, drain)


@asynccontextmanager
async def serving(application: web.Application) -> AsyncIterator[int]:
    """The application on a free port."""
    runner = ProblemRunner(application, shutdown_timeout_s=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
