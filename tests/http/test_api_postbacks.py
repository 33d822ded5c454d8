"""``/v1/postbacks/conversion`` on a real socket."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from auction.domain.ids import CallId
from auction.domain.postbacks import (
    NamedBy,
    Postback,
    PostbackResult,
    Refused,
    Reported,
    ReportResult,
    ReportStatus,
)
from auction.ports import StorageUnavailableError
from auction.web.drain import Drain
from auction.web.edge import edge
from auction.web.postbacks import PostbackHandlers
from auction.web.services import Grant
from tests.http.api_fakes import FakeGrant, Reply, a_client, a_grant, serving
from tests.ledger_steps import VAULT

PATH = "/v1/postbacks/conversion"
TOKENS = {
    "acme-secret-token": a_grant("postback", buyer="acme"),
    "operator": a_grant("postback", "admin"),
    "nobodys": a_grant("postback"),
    "admin": a_grant("admin"),
    "reader": a_grant("read", buyer="acme"),
}
TOKEN = "acme-secret-token"  # no secret of anybody
BOOKED = Reported(CallId("c-1"), "e-1", ReportResult.BOOKED, Decimal(52), "USD")


@dataclass
class FakePostbacks:
    """Keeps what is reported and answers as told; knows the tokens of this file."""

    result: PostbackResult = BOOKED
    error: Exception | None = None
    taken: list[Postback] = field(default_factory=list)

    async def report(self, postback: Postback) -> PostbackResult:
        if self.error is not None:
            raise self.error
        self.taken.append(postback)
        return self.result

    async def lookup(self, token: str) -> FakeGrant | None:
        return TOKENS.get(token)

    def wait_s(self, grant: Grant) -> float:
        return 0.0


@dataclass
class Api:
    fake: FakePostbacks
    session: aiohttp.ClientSession
    port: int

    async def get(self, query: Mapping[str, str] | str = "", token: str | None = TOKEN) -> Reply:
        return await self.send("GET", query, token=token)

    async def send(
        self,
        method: str,
        query: Mapping[str, str] | str = "",
        *,
        token: str | None = TOKEN,
        **rest: Any,
    ) -> Reply:
        text = query if isinstance(query, str) else urlencode(query)
        url = URL(f"http://127.0.0.1:{self.port}{PATH}?{text}", encoded=True)
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        async with self.session.request(method, url, headers=headers, **rest) as response:
            return Reply(response.status, dict(response.headers), await response.read())


@asynccontextmanager
async def running(fake: FakePostbacks | None = None) -> AsyncIterator[Api]:
    fake = fake or FakePostbacks()
    handlers = PostbackHandlers(fake, fake, VAULT.fingerprint)
    application = web.Application(middlewares=[edge(Drain())])
    application.router.add_get(PATH, handlers.convert, allow_head=False)
    application.router.add_post(PATH, handlers.convert)
    async with serving(application) as port, a_client() as session:
        yield Api(fake, session, port)


def paths_of(reply: Reply) -> list[str]:
    assert reply.status == 422
    return [error["path"] for error in reply.json()["errors"]]


async def test_a_conversion_is_reported_in_a_query() -> None:
    said = {
        "call_id": "c-1",
        "event_id": "e-1",
        "amount": "$52.50",
        "status": "Approved",
        "at": "2026-11-21T18:05:30.250-05:00",
    }
    async with running() as api:
        reply = await api.get(said)
    assert reply.status == 200
    assert reply.json() == {
        "call_id": "c-1",
        "event_id": "e-1",
        "result": "booked",
        "amount": "52.00",
        "currency": "USD",
        "flagged": False,
    }
    assert reply.headers["Cache-Control"] == "no-store"
    [taken] = api.fake.taken
    assert (taken.named_by, taken.name, taken.buyer) == (NamedBy.CALL_ID, "c-1", "acme")
    assert (taken.event_id, taken.amount) == ("e-1", Decimal("52.5"))
    assert (taken.status, taken.note) == (ReportStatus.CONVERTED, "approved")
    assert taken.at == datetime(2026, 11, 21, 23, 5, 30, 250_000, tzinfo=UTC)


async def test_a_name_is_enough() -> None:
    async with running() as api:
        for name in ("call_id", "ping_id", "post_id", "bid_id"):
            assert (await api.get({name: "x", "amount": "", "event_id": ""})).status == 200
    assert [(taken.named_by.value, taken.name) for taken in api.fake.taken] == [
        (name, "x") for name in ("call_id", "ping_id", "post_id", "bid_id")
    ]
    taken = api.fake.taken[0]
    assert (taken.event_id, taken.amount, taken.at, taken.note) == (None, None, None, None)
    assert taken.status is ReportStatus.CONVERTED


async def test_a_post_takes_a_query_a_form_or_json_and_both_when_they_agree() -> None:
    said = {"call_id": "c-1", "event_id": "e-1", "amount": "52.50"}
    async with running() as api:
        replies = [
            await api.send("POST", said),
            await api.send("POST", data=said),
            await api.send("POST", json=said),
            await api.send("POST", json={**said, "amount": 52.5, "at": None}),
            await api.send("POST", {"call_id": "c-1"}, json=said),
            await api.send("POST", {"call_id": "c-1", "amount": "52.50"}, data=said),
        ]
    assert [reply.status for reply in replies] == [200] * 6
    assert len({taken.fingerprint for taken in api.fake.taken}) == 1
    assert {taken.amount for taken in api.fake.taken} == {Decimal("52.5")}


async def test_a_query_and_a_body_that_differ_are_refused() -> None:
    async with running() as api:
        reply = await api.send(
            "POST", {"call_id": "c-1", "amount": "52"}, json={"call_id": "c-2", "amount": 53}
        )
        twice = await api.get("call_id=c-1&amount=1&amount=2")
        alike = await api.get("call_id=c-1&amount=1&amount=1")
    assert paths_of(reply) == ["amount", "call_id"]
    assert (twice.status, alike.status) == (422, 200)


async def test_exactly_one_name_is_needed() -> None:
    names = ["call_id", "ping_id", "post_id", "bid_id"]
    async with running() as api:
        none = await api.get({"amount": "5"})
        empty = await api.get({"call_id": ""})
        two = await api.get({"post_id": "x", "bid_id": "y"})
    assert paths_of(none) == paths_of(empty) == names
    assert paths_of(two) == ["post_id", "bid_id"]
    assert api.fake.taken == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("amount", "-1"),
        ("amount", "10000.01"),
        ("amount", "1,000"),
        ("amount", "1e3"),
        ("amount", "NaN"),
        ("amount", "much"),
        ("status", "maybe"),
        ("event_id", "x" * 129),
        ("event_id", "a\rb"),
        ("call_id", "x" * 129),
        ("at", "yesterday"),
        ("at", "2026-11-21T18:05:30"),
        ("ammount", "5"),
    ],
)
async def test_what_is_not_valid_is_422_with_its_path(name: str, value: str) -> None:
    async with running() as api:
        reply = await api.get({"call_id": "c-1", name: value})
    assert paths_of(reply) == [name]
    assert value not in reply.json()["detail"]
    assert api.fake.taken == []


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"call_id": 7}, "call_id"),
        ({"call_id": "c", "amount": True}, "amount"),
        ({"call_id": "c", "amount": [5]}, "amount"),
        ({"call_id": "c", "amount": 1e300}, "amount"),
        ({"call_id": "c", "status": 1}, "status"),
        ({"call_id": "c", "at": 1_763_748_000}, "at"),
        ({"bid_id": True}, "bid_id"),
        ({"bid_id": "x" * 257}, "bid_id"),
    ],
)
async def test_json_of_the_wrong_type_is_422_with_its_path(body: object, path: str) -> None:
    async with running() as api:
        reply = await api.send("POST", json=body)
    assert paths_of(reply) == [path]


async def test_odd_but_readable_reports_are_taken() -> None:
    async with running() as api:
        zero = await api.get({"call_id": "c-1", "amount": "0"})
        number = await api.send("POST", json={"bid_id": 12345, "amount": 0})
        plus = await api.get("call_id=c-1&at=2026-11-21T18:05:30+05:30")
    assert [reply.status for reply in (zero, number, plus)] == [200] * 3
    assert [taken.amount for taken in api.fake.taken] == [0, 0, None]
    assert api.fake.taken[1].name == "12345"
    assert api.fake.taken[2].at == datetime(2026, 11, 21, 12, 35, 30, tzinfo=UTC)


@pytest.mark.parametrize("word", ["withdrawn", "rejected", "RETURNED"])
async def test_a_withdrawal_has_several_words(word: str) -> None:
    async with running() as api:
        await api.get({"call_id": "c-1", "status": word})
    [taken] = api.fake.taken
    assert (taken.status, taken.note) == (ReportStatus.WITHDRAWN, word.lower())


async def test_a_fingerprint_tells_content_apart_but_not_how_a_call_was_named() -> None:
    event = {"event_id": "e-1"}
    reports = [
        {"call_id": "c-1", "amount": "52", **event},
        {"bid_id": "b-1", "amount": "$52.00", "status": "approved", **event},
        {"call_id": "c-1", "amount": "53", **event},
        {"call_id": "c-1", "amount": "52", "status": "returned", **event},
        {"call_id": "c-1", "amount": "52", "at": "2026-11-21T18:05:30Z", **event},
        {"call_id": "c-1", "amount": "52", "at": "2026-11-21T18:05:30Z"},
        {"call_id": "c-1", "amount": "52", "at": "2026-11-21T18:05:31Z"},
    ]
    async with running() as api:
        for report in reports:
            await api.get(report)
    first, renamed, *others = [taken.fingerprint for taken in api.fake.taken]
    assert first == renamed
    assert first not in others[:3]
    # without an event id the content makes the event, whenever it is said to have happened
    assert others[3] == others[4] == first


@pytest.mark.parametrize(
    ("result", "status", "kind"),
    [
        (Refused.UNKNOWN_CALL, 404, "not-found"),
        (Refused.OTHER_CONTENT, 409, "conflict"),
        (Refused.OTHER_BUYER, 409, "converted-by-another-buyer"),
        (Refused.PASSED_ON, 409, "went-to-another-buyer"),
    ],
)
async def test_why_a_report_was_not_taken_is_told(result: Refused, status: int, kind: str) -> None:
    async with running(FakePostbacks(result=result)) as api:
        reply = await api.get({"call_id": "c-1"})
    assert reply.status == status
    assert reply.json()["type"].endswith(kind)


async def test_a_token_comes_in_the_header_the_query_or_the_form() -> None:
    async with running() as api:
        replies = [
            await api.get({"call_id": "c-1", "token": TOKEN}, token=None),
            await api.send("POST", {"call_id": "c-1", "token": TOKEN}, token=None),
            await api.send("POST", data={"call_id": "c-1", "token": TOKEN}, token=None),
            await api.send("POST", json={"call_id": "c-1", "token": TOKEN}, token=None),
            await api.get({"call_id": "c-1", "token": "reader"}),
        ]
    assert [reply.status for reply in replies] == [200] * 5


async def test_who_may_report_what() -> None:
    said = {"call_id": "c-1"}
    async with running() as api:
        replies = [
            await api.get(said, token=token)
            for token in (None, "unknown", "reader", "nobodys", "admin", "operator")
        ]
        unnamed = await api.get({**said, "token": "x" * 600}, token=None)
        form = await api.send("POST", data={**said, "token": "unknown"}, token=None)
    statuses = [reply.status for reply in replies]
    assert statuses == [401, 401, 403, 403, 403, 200]
    assert (unnamed.status, form.status) == (401, 401)
    assert replies[0].headers["WWW-Authenticate"].startswith("Bearer")
    [taken] = api.fake.taken
    assert taken.buyer is None


async def test_bodies_are_bounded_and_must_be_readable() -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    async with running() as api:
        replies = [
            await api.send("POST", data=b"{"),
            await api.send("POST", data=b"[]"),
            await api.send("POST", data=b" " * 70_000),
        ]
        many = "&".join(f"x{number}=1" for number in range(60)).encode()
        url = f"http://127.0.0.1:{api.port}{PATH}?token={TOKEN}"
        async with api.session.post(url, data=many, headers=form) as too_many:
            assert too_many.status == 400
        async with api.session.post(url, data=b"call_id=%ff", headers=form) as unreadable:
            assert unreadable.status == 400
    assert [reply.status for reply in replies] == [400, 422, 413]


async def test_only_get_and_post_report() -> None:
    async with running() as api:
        statuses = [
            (await api.send(method, {"call_id": "c-1"})).status
            for method in ("HEAD", "PUT", "DELETE")
        ]
    assert statuses == [405] * 3
    assert api.fake.taken == []


async def test_a_database_that_is_away_is_a_503() -> None:
    async with running(FakePostbacks(error=StorageUnavailableError("down"))) as api:
        reply = await api.get({"call_id": "c-1"})
    assert (reply.status, reply.headers["Retry-After"]) == (503, "1")


async def test_no_token_is_ever_logged_or_told(caplog: pytest.LogCaptureFixture) -> None:
    broken = FakePostbacks(error=RuntimeError("broken inside"))
    said = {"call_id": "c-1", "token": TOKEN}
    with caplog.at_level(logging.DEBUG):
        async with running(broken) as api:
            replies = [
                await api.get(said, token=None),
                await api.send("POST", data=said, token=None),
                await api.send("POST", json=said, token=None),
                await api.get({**said, "amount": TOKEN}, token=None),
                await api.get({**said, TOKEN: "x"}, token="reader"),
                await api.get(f"call_id=c-1&token={TOKEN}&token=other", token=None),
            ]
    assert [reply.status for reply in replies] == [500, 500, 500, 422, 403, 422]
    assert "broken inside" in caplog.text
    server_side = [record for record in caplog.records if record.name.startswith("auction")]
    assert server_side
    assert TOKEN not in "".join(str(vars(record)) for record in caplog.records)
    assert all(TOKEN.encode() not in reply.body for reply in replies)
