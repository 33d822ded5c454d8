"""``POST /v1/switches/{name}/live-calls`` on a real socket."""

import io
from collections.abc import AsyncIterator, Sequence, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from auction.domain.ids import CallId
from auction.ports import StorageUnavailableError
from auction.web.bodies import MAX_BODY_BYTES, expecting
from auction.web.drain import Drain
from auction.web.edge import edge
from auction.web.services import Grant
from auction.web.switches import MAX_LIST_BYTES, MOST_CALLS, SwitchHandlers
from tests.builders import NOON
from tests.http.api_fakes import FakeGrant, Reply, a_client, a_grant, serving

TOKENS = {
    "switch-1": a_grant("calls", switch="switch-1"),
    "calls": a_grant("calls"),
    "admin": a_grant("admin"),
    "read": a_grant("read", switch="switch-1"),
}
LIST: dict[str, Any] = {"as_of": "2026-11-20T16:59:00Z", "call_ids": ["c-1", "c-2"]}


@dataclass(frozen=True)
class FakeCompared:
    closed: Sequence[CallId] = (CallId("c-9"),)
    live: int = 2


@dataclass
class FakeSwitchCalls:
    """Keeps what it is told; knows the tokens and the time."""

    compared: FakeCompared = FakeCompared()
    error: Exception | None = None
    lists: list[tuple[str, datetime, Set[CallId]]] = field(default_factory=list)

    async def compare(self, switch: str, as_of: datetime, listed: Set[CallId]) -> FakeCompared:
        if self.error is not None:
            raise self.error
        self.lists.append((switch, as_of, listed))
        return self.compared

    async def lookup(self, token: str) -> FakeGrant | None:
        return TOKENS.get(token)

    def wait_s(self, grant: Grant) -> float:
        return 0.0

    def now(self) -> datetime:
        return NOON

    def monotonic(self) -> float:
        return 0.0


@dataclass
class Api:
    fake: FakeSwitchCalls
    session: aiohttp.ClientSession
    port: int

    async def post(
        self,
        body: object = None,
        *,
        switch: str = "switch-1",
        token: str | None = "switch-1",
        **rest: Any,
    ) -> Reply:
        url = f"http://127.0.0.1:{self.port}/v1/switches/{switch}/live-calls"
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        sent = rest or {"json": LIST if body is None else body}
        async with self.session.post(url, headers=headers, **sent) as response:
            return Reply(response.status, dict(response.headers), await response.read())


@asynccontextmanager
async def running(
    fake: FakeSwitchCalls | None = None, max_bytes: int = MAX_LIST_BYTES
) -> AsyncIterator[Api]:
    fake = fake or FakeSwitchCalls()
    handlers = SwitchHandlers(fake, fake, fake, max_bytes)
    application = web.Application(middlewares=[edge(Drain())], client_max_size=MAX_BODY_BYTES)
    application.router.add_post(
        "/v1/switches/{name:[^/]+}/live-calls",
        handlers.compare,
        expect_handler=expecting(max_bytes),
    )
    async with serving(application) as port, a_client() as session:
        yield Api(fake, session, port)


def a_file(body: object) -> io.BytesIO:
    """A body that is too large to be sent at once."""
    return io.BytesIO(orjson.dumps(body))


async def test_a_list_is_compared_and_its_outcome_told() -> None:
    async with running() as api:
        reply = await api.post()
    assert reply.status == 200
    assert reply.json() == {
        "switch": "switch-1",
        "as_of": "2026-11-20T16:59:00.000Z",
        "closed": ["c-9"],
        "closed_count": 1,
        "live": 2,
    }
    as_of = NOON - timedelta(minutes=1)
    assert api.fake.lists == [("switch-1", as_of, {"c-1", "c-2"})]


async def test_of_many_that_were_closed_the_first_thousand_are_named() -> None:
    closed = tuple(CallId(f"c-{number}") for number in range(1500))
    async with running(FakeSwitchCalls(FakeCompared(closed, 0))) as api:
        answer = (await api.post()).json()
    assert (len(answer["closed"]), answer["closed_count"]) == (1000, 1500)


async def test_a_list_is_of_the_moment_that_the_switch_names() -> None:
    async with running() as api:
        reply = await api.post({**LIST, "as_of": "2026-11-20T17:10:00Z"})
    assert reply.json()["as_of"] == "2026-11-20T17:10:00.000Z"


async def test_a_clock_that_is_a_day_ahead_is_a_fault() -> None:
    async with running() as api:
        reply = await api.post({**LIST, "as_of": "2999-01-01T00:00:00Z"})
    assert (reply.status, api.fake.lists) == (422, [])
    assert [error["path"] for error in reply.json()["errors"]] == ["as_of"]


async def test_a_switch_without_calls_says_so() -> None:
    async with running() as api:
        reply = await api.post({**LIST, "call_ids": []})
    assert reply.status == 200
    assert api.fake.lists[0][2] == frozenset()


async def test_only_the_switch_itself_or_an_operator_may_tell() -> None:
    async with running() as api:
        statuses = [
            (await api.post(token=None)).status,
            (await api.post(token="read")).status,
            (await api.post(token="calls")).status,
            (await api.post(switch="switch-2")).status,
            (await api.post(switch="switch-2", token="admin")).status,
            (await api.post(switch="x" * 129, token="admin")).status,
            (await api.post(switch="a%0Ab", token="admin")).status,
        ]
    assert statuses == [401, 403, 403, 403, 200, 404, 404]
    assert [switch for switch, *_ in api.fake.lists] == ["switch-2"]


async def test_a_list_of_the_most_calls_with_long_names_is_taken() -> None:
    ids = [f"{number:0128}" for number in range(MOST_CALLS)]
    async with running() as api:
        reply = await api.post(data=a_file({**LIST, "call_ids": ids}))
        more = await api.post(data=a_file({**LIST, "call_ids": [*ids, "one"]}))
    assert (reply.status, more.status) == (200, 422)
    assert len(api.fake.lists[0][2]) == MOST_CALLS
    assert more.json()["errors"][0]["path"] == "call_ids"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"call_ids": []}, "as_of"),
        ({**LIST, "as_of": "today"}, "as_of"),
        ({"as_of": LIST["as_of"]}, "call_ids"),
        ({**LIST, "call_ids": None}, "call_ids"),
        ({**LIST, "call_ids": "c-1"}, "call_ids"),
        ({**LIST, "call_ids": ["c-1", ""]}, "call_ids[1]"),
        ({**LIST, "call_ids": ["x" * 129]}, "call_ids[0]"),
        ({**LIST, "call_ids": [7, 8, 9]}, "call_ids[0]"),
        ({**LIST, "calls": []}, "calls"),
    ],
)
async def test_what_is_not_valid_is_422_with_its_path(body: object, path: str) -> None:
    async with running() as api:
        reply = await api.post(body)
    assert reply.status == 422
    assert [error["path"] for error in reply.json()["errors"]] == [path]
    assert api.fake.lists == []


async def test_a_list_is_bounded_announced_or_not() -> None:
    async def trickled() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b" " * 50_000

    async with running(max_bytes=200_000) as api:
        announced = await api.post(data=b" " * 200_001)
        unannounced = await api.post(data=trickled())
        broken = await api.post(data=b"{")
        expected = await api.post(data=b" " * 200_001, expect100=True)
    statuses = [reply.status for reply in (announced, unannounced, broken, expected)]
    assert statuses == [413, 413, 400, 413]
    assert "200000 bytes" in announced.json()["detail"]


async def test_a_body_that_is_expected_is_asked_for() -> None:
    async with running() as api:
        reply = await api.post(json=LIST, expect100=True)
    assert reply.status == 200


async def test_a_database_that_is_away_is_a_503() -> None:
    async with running(FakeSwitchCalls(error=StorageUnavailableError("down"))) as api:
        reply = await api.post()
    assert (reply.status, reply.headers["Retry-After"]) == (503, "1")
