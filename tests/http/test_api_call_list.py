"""``GET /v1/calls`` on a real socket: pages, and streams of everything."""

import asyncio
import csv
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import orjson
import psutil
import pytest

from auction.domain.call_list import CallFilter, CallOutcome, CallPage, CallPlace
from auction.domain.call_record import CallRecord
from auction.domain.ids import BuyerId, CallId, CampaignId, OfferId, SourceId
from auction.ports import StorageUnavailableError
from auction.web import cdr_stream
from auction.web.list_request import write_place
from storage import call_lists
from storage.call_lists import CallLists
from storage.database import Database
from storage.records import CallRecords
from tests.builders import NOON, a_call
from tests.call_rows import CALL_VAULT, NEWEST, fill
from tests.eventually import eventually
from tests.http.api_fakes import FakeServices
from tests.http.record_app import running_records
from tests.http.test_api_records import CDR_KEYS, a_record


@dataclass
class FakeLists:
    """Hands out pages in their order, the later ones when the ``gate`` opens."""

    pages: list[CallPage] = field(default_factory=lambda: [CallPage((), None)])
    error_after: int | None = None
    error: Exception = field(default_factory=lambda: StorageUnavailableError("down"))
    gate: asyncio.Event | None = None
    asked: list[tuple[CallFilter, CallPlace | None, int]] = field(default_factory=list)

    async def list_calls(
        self,
        wanted: CallFilter,
        after: CallPlace | None,
        limit: int,
        *,
        patience_s: float | None = None,
    ) -> CallPage:
        self.asked.append((wanted, after, limit))
        if self.error_after is not None and len(self.asked) > self.error_after:
            raise self.error
        if self.gate is not None and len(self.asked) > 1:
            await self.gate.wait()
        return self.pages[min(len(self.asked), len(self.pages)) - 1]


def a_listed(number: int, **changes: Any) -> CallRecord:
    """A call of acme's, as lists hold them."""
    return a_record(call=a_call(f"c-{number}"), trace=None, **changes)


def place(number: int) -> CallPlace:
    return CallPlace(NOON, CallId(f"c-{number}"))


def pages(*sizes: int) -> list[CallPage]:
    """Pages of so many calls, numbered all through."""
    made: list[CallPage] = []
    start = 0
    for size in sizes:
        calls = tuple(a_listed(number) for number in range(start, start + size))
        start += size
        made.append(CallPage(calls, place(start - 1)))
    return [*made[:-1], replace(made[-1], next=None)]


async def test_a_page_has_cdrs_like_a_single_call_and_where_to_go_on() -> None:
    lists = FakeLists(pages(2, 1))
    async with running_records(FakeServices(), lists=lists) as api:
        first = (await api.get("/v1/calls")).json()
        second = (await api.get(f"/v1/calls?after={first['next']}&limit=1")).json()
    assert [each["call_id"] for each in first["calls"]] == ["c-0", "c-1"]
    assert list(first["calls"][0]) == CDR_KEYS
    assert first["calls"][0]["caller_id"] == "+1310*****34"
    assert ([each["call_id"] for each in second["calls"]], second["next"]) == (["c-2"], None)
    assert lists.asked == [(CallFilter(), None, 100), (CallFilter(), place(1), 1)]


async def test_what_is_asked_for_reaches_the_lists() -> None:
    lists = FakeLists()
    query = (
        "from=2026-11-20&to=2026-11-21T08:30:00.5%2B01:00&campaign=auto&offer=o&buyer=b"
        "&source=s&outcome=converted&limit=1000&test=true"
    )
    async with running_records(FakeServices(), lists=lists) as api:
        reply = await api.get(f"/v1/calls?{query}")
    assert reply.json() == {"calls": [], "next": None}
    wanted = CallFilter(
        since=datetime(2026, 11, 20, tzinfo=UTC),
        until=datetime(2026, 11, 21, 7, 30, 0, 500_000, tzinfo=UTC),
        campaign=CampaignId("auto"),
        offer=OfferId("o"),
        buyer=BuyerId("b"),
        source="s",
        outcome=CallOutcome.CONVERTED,
        test=True,
    )
    assert lists.asked == [(wanted, None, 1000)]


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("limit=%D9%A1", "limit"),
        ("limit=1&limit=2", "limit"),
        ("from=yesterday", "from"),
        ("from=2026-02-30", "from"),
        ("to=2026-11-20T00:00:00", "to"),
        ("outcome=sold", "outcome"),
        ("campaign=", "campaign"),
        ("buyer=a%00b", "buyer"),
        (f"source={'x' * 129}", "source"),
        ("test=yes", "test"),
        ("format=xml", "format"),
        ("after=x", "after"),
        (f"after={'A' * 11}", "after"),
        (f"after={'_' * 12}", "after"),
        (f"after={'A' * 800}", "after"),
        ("since=2026-11-20", "since"),
        ("until=2026-11-20", "until"),
        ("page=2", "page"),
    ],
)
async def test_a_bad_query_is_told_with_its_path(query: str, path: str) -> None:
    lists = FakeLists()
    async with running_records(FakeServices(), lists=lists) as api:
        reply = await api.get(f"/v1/calls?{query}")
    assert reply.status == 422, reply.body
    assert [each["path"] for each in reply.json()["errors"]] == [path]
    assert lists.asked == []


async def test_every_fault_is_told_at_once() -> None:
    async with running_records(FakeServices(), lists=FakeLists()) as api:
        reply = await api.get("/v1/calls?limit=0&outcome=x&page=1")
    assert {each["path"] for each in reply.json()["errors"]} == {"limit", "outcome", "page"}


@pytest.mark.parametrize("call_id", ["c-1", "späť", "3848@switch-1", "x" * 128])
async def test_a_place_with_any_call_id_is_found_again(call_id: str) -> None:
    lists = FakeLists()
    at = CallPlace(NOON + timedelta(microseconds=1), CallId(call_id))
    async with running_records(FakeServices(), lists=lists) as api:
        assert (await api.get(f"/v1/calls?after={write_place(at)}")).status == 200
    assert lists.asked[0][1] == at


@pytest.mark.parametrize(
    ("token", "query", "wanted"),
    [
        ("acme", "", CallFilter(seen_by=BuyerId("acme"))),
        ("acme", "?buyer=acme", CallFilter(seen_by=BuyerId("acme"))),
        ("pub-17", "", CallFilter(source="pub-17")),
        ("pub-17", "?source=pub-17", CallFilter(source="pub-17")),
    ],
)
async def test_a_bound_token_lists_its_own_calls(
    token: str, query: str, wanted: CallFilter
) -> None:
    lists = FakeLists()
    async with running_records(FakeServices(), lists=lists) as api:
        assert (await api.get(f"/v1/calls{query}", token)).status == 200
    assert lists.asked == [(wanted, None, 100)]


@pytest.mark.parametrize(("token", "query"), [("acme", "buyer=beacon"), ("pub-17", "source=pub-1")])
async def test_a_bound_token_finds_nothing_of_others(
    database: Database, token: str, query: str
) -> None:
    await fill(database, range(3))
    lists = CallLists(CallRecords(database, CALL_VAULT))
    async with running_records(FakeServices(), lists=lists) as api:
        page = (await api.get(f"/v1/calls?{query}", token)).json()
        stream = await api.get(f"/v1/calls?{query}&format=ndjson", token)
        own = (await api.get("/v1/calls", token)).json()
    assert (page, stream.body) == ({"calls": [], "next": None}, b"")
    assert len(own["calls"]) == 3


async def test_a_source_is_not_told_prices_in_a_list_nor_a_buyer_payouts() -> None:
    lists = FakeLists(pages(1))
    async with running_records(FakeServices(), lists=lists) as api:
        (source,) = (await api.get("/v1/calls", "pub-17")).json()["calls"]
        (buyer,) = (await api.get("/v1/calls", "acme")).json()["calls"]
    assert (source["price"], source["revenue"], source["payout"]) == (None, None, "0.00")
    assert (buyer["price"], buyer["revenue"], buyer["payout"]) == ("52.00", "52.00", None)
    assert len(buyer["attempts"]) == 1


async def test_a_list_is_not_for_everybody() -> None:
    async with running_records(FakeServices(), lists=FakeLists()) as api:
        nobody = await api.send("GET", "/v1/calls", token=None)
        postback = await api.get("/v1/calls?format=csv", "postback")
        switch = await api.get("/v1/calls", "calls")
    assert (nobody.status, postback.status, switch.status) == (401, 403, 200)


async def test_a_database_that_is_away_is_503_before_a_stream_begins() -> None:
    lists = FakeLists(error_after=0)
    async with running_records(FakeServices(), lists=lists) as api:
        page = await api.get("/v1/calls")
        stream = await api.get("/v1/calls?format=csv")
    assert (page.status, stream.status) == (503, 503)
    assert stream.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("accept", "query", "media_type"),
    [
        (None, "", "application/json"),
        ("*/*", "", "application/json"),
        ("text/html", "", "application/json"),
        ("text/csv", "", "text/csv; charset=utf-8"),
        ("application/x-ndjson", "", "application/x-ndjson"),
        ("text/csv;q=0.5, application/x-ndjson", "", "application/x-ndjson"),
        ("text/csv;q=0, application/json", "", "application/json"),
        ("application/json;q=0.9, Text/CSV; charset=utf-8", "", "text/csv; charset=utf-8"),
        ("text/csv;q=high", "", "application/json"),
        ("text/csv", "?format=json", "application/json"),
        (None, "?format=csv", "text/csv; charset=utf-8"),
        (None, "?format=ndjson", "application/x-ndjson"),
    ],
)
async def test_the_form_is_the_one_asked_for(
    accept: str | None, query: str, media_type: str
) -> None:
    headers = {} if accept is None else {"Accept": accept}
    async with running_records(FakeServices(), lists=FakeLists()) as api:
        reply = await api.send("GET", f"/v1/calls{query}", headers=headers)
    assert (reply.status, reply.headers["Content-Type"]) == (200, media_type)


async def test_a_stream_has_all_pages_up_to_the_moment_it_began() -> None:
    lists = FakeLists(pages(3, 2, 1))
    async with running_records(FakeServices(), lists=lists) as api:
        reply = await api.get("/v1/calls?format=ndjson&campaign=auto-insurance")
        single = (await api.get("/v1/calls?limit=1")).json()["calls"][0]
    lines = [orjson.loads(line) for line in reply.body.splitlines()]
    assert [each["call_id"] for each in lines] == [f"c-{number}" for number in range(6)]
    assert list(lines[0]) == list(single) == CDR_KEYS
    wanted = CallFilter(campaign=CampaignId("auto-insurance"), until=NOON)
    assert lists.asked[:3] == [
        (wanted, None, 1000),
        (wanted, place(2), 1000),
        (wanted, place(4), 1000),
    ]
    assert reply.headers["Transfer-Encoding"] == "chunked"
    assert reply.headers["Content-Disposition"] == (
        'attachment; filename="calls-20261120T170000Z.ndjson"'
    )


@pytest.mark.parametrize(
    ("to", "until"),
    [("2026-11-19", datetime(2026, 11, 19, tzinfo=UTC)), ("2027-01-01", NOON)],
)
async def test_a_stream_ends_at_the_asked_moment_or_at_its_beginning(
    to: str, until: datetime
) -> None:
    lists = FakeLists()
    async with running_records(FakeServices(), lists=lists) as api:
        await api.get(f"/v1/calls?format=csv&to={to}")
    assert lists.asked[0][0].until == until


async def test_a_stream_takes_a_limit_when_one_is_given() -> None:
    lists = FakeLists(pages(4, 3, 1))
    async with running_records(FakeServices(), lists=lists) as api:
        reply = await api.get("/v1/calls?format=ndjson&limit=7")
    assert len(reply.body.splitlines()) == 7
    assert [limit for _, _, limit in lists.asked] == [7, 3]


async def test_csv_has_a_line_for_every_call() -> None:
    call = a_listed(1, revenue=Decimal("52.5"), total_duration_s=Decimal("95.4"))
    lists = FakeLists([CallPage((call, a_listed(2, attempts=())), None)])
    async with running_records(FakeServices(), lists=lists) as api:
        reply = await api.get("/v1/calls?format=csv")
    first, second = csv.DictReader(StringIO(reply.body.decode(), newline=""))
    attempts = orjson.loads(first.pop("attempts"))
    assert first == {
        "call_id": "c-1",
        "campaign": "auto-insurance",
        "source": "pub-17",
        "dialed_number": "+18005550100",
        "caller_id": "+1310*****34",
        "started_at": "2026-11-20T17:00:00.000Z",
        "answered_at": "2026-11-20T17:00:09.000Z",
        "ended_at": "",
        "total_duration_s": "95.4",
        "connected_duration_s": "61",
        "ended_by": "caller",
        "state": "ended",
        "routed_by": "auction",
        "buyer": "acme",
        "offer": "acme-auto",
        "price": "52.00",
        "currency": "USD",
        "converted": "true",
        "conversion_trigger": "answered",
        "revenue": "52.50",
        "payout": "0.00",
        "test": "false",
        "switch": "",
        "reason": "",
        "quality": "",
        "attempt_count": "1",
    }
    assert attempts[0]["offer"] == "acme-auto"
    assert (second["attempt_count"], second["attempts"]) == ("0", "[]")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
async def test_no_cell_of_a_csv_is_taken_for_a_formula(start: str) -> None:
    bad = f"{start}cmd|' /C calc'!A0"
    call = a_call(bad, source=SourceId(bad), dialed_number=f"{start}1", switch=bad)
    lists = FakeLists([CallPage((a_record(call=call, campaign=CampaignId(bad)),), None)])
    async with running_records(FakeServices(), lists=lists) as api:
        reply = await api.get("/v1/calls?format=csv", "pii")
    (row,) = csv.DictReader(StringIO(reply.body.decode(), newline=""))
    assert {row[key] for key in ("call_id", "source", "campaign", "switch")} == {f"'{bad}"}
    assert row["caller_id"] == "+13105551234"


async def test_only_so_many_streams_are_sent_at_a_time() -> None:
    lists = FakeLists(pages(1, 1), gate=asyncio.Event())
    assert lists.gate is not None
    async with running_records(FakeServices(), lists=lists) as api:
        first = asyncio.create_task(api.get("/v1/calls?format=csv"))
        await eventually(lambda: len(lists.asked) == 2)
        second = asyncio.create_task(api.get("/v1/calls?format=csv"))
        await eventually(lambda: len(lists.asked) == 3)
        third = await api.get("/v1/calls?format=csv")
        lists.gate.set()
        answered = await asyncio.gather(first, second)
        again = await api.get("/v1/calls?format=csv")
    assert (third.status, third.headers["Retry-After"]) == (503, "30")
    assert [each.status for each in (*answered, again)] == [200, 200, 200]


REQUEST = b"GET /v1/calls?format=ndjson HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer read\r\n\r\n"


@pytest.mark.parametrize("error", [StorageUnavailableError("down"), RuntimeError("a fault")])
async def test_a_stream_that_cannot_be_finished_is_cut_off(error: Exception) -> None:
    lists = FakeLists(pages(1, 1, 1), error_after=1, error=error)
    async with running_records(FakeServices(), lists=lists) as api, api.connected() as (reader, w):
        w.write(REQUEST)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readuntil(b"\r\n0\r\n\r\n"), 10)
        assert (await api.get("/v1/calls/c-1")).status == 404


async def test_a_stream_ends_early_when_the_service_goes_down() -> None:
    lists = FakeLists(pages(1, 1, 1), gate=asyncio.Event())
    assert lists.gate is not None
    async with running_records(FakeServices(), lists=lists) as api, api.connected() as (reader, w):
        w.write(REQUEST)
        await eventually(lambda: len(lists.asked) == 2)
        api.drain.begin()
        lists.gate.set()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readuntil(b"\r\n0\r\n\r\n"), 10)
        await eventually(lambda: api.drain.in_flight == 0)
    assert len(lists.asked) == 2


def endless() -> list[CallPage]:
    return [CallPage(tuple(a_listed(number) for number in range(1000)), place(999))]


async def test_a_client_that_goes_away_stops_the_work() -> None:
    lists = FakeLists(endless())
    async with running_records(FakeServices(), lists=lists) as api:
        async with api.connected() as (reader, writer):
            writer.write(REQUEST)
            await reader.readexactly(100_000)
        await eventually(lambda: api.drain.in_flight == 0)
        asked = len(lists.asked)
        assert (await api.get("/v1/calls/c-1")).status == 404
    assert len(lists.asked) == asked


async def test_a_client_that_does_not_read_holds_the_work_up_and_is_given_up_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cdr_stream, "UNREAD_S", 0.3)
    lists = FakeLists(endless())
    async with running_records(FakeServices(), lists=lists) as api, api.connected() as (_, writer):
        writer.write(REQUEST)
        await eventually(lambda: api.drain.in_flight == 1)
        await eventually(lambda: api.drain.in_flight == 0)
    assert len(lists.asked) < 50, "what nobody reads is not fetched"


async def test_head_tells_the_form_and_sends_nothing() -> None:
    lists = FakeLists(pages(1, 1))
    async with running_records(FakeServices(), lists=lists) as api:
        reply = await api.send("HEAD", "/v1/calls?format=csv")
    assert (reply.status, reply.headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
    assert len(lists.asked) == 1


MANY = 30_000
FLAT_BYTES = 32_000_000
"""Far below what so many calls take when they are held at the same time."""


async def test_a_long_stream_takes_no_more_memory_and_has_every_call_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_lists, "LOOKED_AT", 1500)
    for start in range(0, MANY, 1000):
        await fill(database, range(start, start + 1000))
    lists = CallLists(CallRecords(database, CALL_VAULT))
    done = asyncio.Event()
    async with running_records(FakeServices(), lists=lists) as api:
        adding = asyncio.create_task(add_calls(database, done))
        for form in ("ndjson", "csv"):
            seen, before = bytearray(MANY), resident_bytes()
            others, peak = await read_ids(api.port, form, seen)
            assert seen == b"\1" * MANY, "each once"
            assert len(others) == len(set(others))
            assert all(each.startswith("among") for each in others), "none that came in later"
            assert peak - before < FLAT_BYTES, form
        done.set()
        assert await adding > 2


def resident_bytes() -> int:
    """The memory of this process, server and client."""
    return psutil.Process().memory_info().rss


async def add_calls(database: Database, done: asyncio.Event) -> int:
    """Calls after the stream's beginning and calls all over it, until it is done."""
    added = 0
    while not done.is_set():
        await fill(database, [added], NOON + timedelta(days=1), "newer")
        await fill(database, [added], NEWEST - timedelta(seconds=added * 97 % MANY), "among")
        added += 1
    return added


async def read_ids(port: int, form: str, seen: bytearray) -> tuple[list[str], int]:
    """Count the calls of a stream by their numbers; the ids of others, and the peak of memory."""
    others: list[str] = []
    peak = 0
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    path = f"/v1/calls?format={form}"
    writer.write(f"GET {path} HTTP/1.0\r\nAuthorization: Bearer read\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    async for line in reader:
        named = orjson.loads(line)["call_id"] if form == "ndjson" else line.split(b",")[0].decode()
        prefix, _, number = named.rpartition("-")
        if prefix != "call":
            others.append(named)
            continue
        seen[int(number)] += 1
        if int(number) % 500 == 0:
            peak = max(peak, resident_bytes())
    writer.close()
    await writer.wait_closed()
    return [each for each in others if each != "call_id"], peak
