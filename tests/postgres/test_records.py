"""Calls read back, the state of the ledger as a whole, and room for the days to come."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio

from auction.domain.call import Caller
from auction.domain.call_list import CallFilter, CallOutcome
from auction.domain.call_record import AttemptRecord
from auction.domain.conversions import Entry, EntryKind, Side
from auction.domain.ids import CallId, CampaignId, OfferId
from auction.domain.plan import RoutedBy
from auction.domain.switch_events import EndedBy, EventType
from auction.domain.terms import Trigger
from auction.ports import StorageUnavailableError
from storage.call_lists import CallLists
from storage.database import Connection, Database
from storage.events import CallEvents
from storage.holds import HoldState
from storage.ledger import PostgresLedger
from storage.partitions import add_partitions
from storage.readings import read_ledger
from storage.records import CallRecords
from tests.call_rows import (
    CALL_VAULT,
    NEWEST,
    a_call_row,
    a_conversion_row,
    an_attempt_row,
    put,
)
from tests.ledger_steps import (
    OFFER_OWNER,
    VAULT,
    a_candidate,
    a_finish,
    a_ledger,
    a_recent_call,
    an_event,
    an_opening,
    open_call,
    reserve,
    route,
)


@pytest_asyncio.fixture
async def ledger(database: Database) -> PostgresLedger:
    return a_ledger(database)


@pytest_asyncio.fixture
async def records(database: Database) -> CallRecords:
    return CallRecords(database, VAULT)


async def test_an_unknown_call_has_no_record(records: CallRecords) -> None:
    assert await records.get_call(CallId("nobody")) is None


async def test_a_finished_call_comes_back_whole(
    database: Database, ledger: PostgresLedger, records: CallRecords
) -> None:
    call = a_recent_call(campaign=CampaignId("auto-insurance"), switch="s1", timeout_ms=1800)
    candidate = await route(ledger, call, a_candidate(price="52.5"), trace=b"why")
    events = CallEvents(database, lambda _: None)
    await events.record(an_event(call, EventType.ANSWERED, 8))
    await events.record(an_event(call, EventType.ENDED, 128, ended_by=EndedBy.CALLER))
    record = await records.get_call(call.call_id)
    assert record is not None
    assert record.call == call
    assert (record.state, record.campaign, record.revision) == ("ended", "auto-insurance", 1)
    assert (record.offer, record.buyer, record.routed_by) == (
        candidate.offer,
        candidate.buyer,
        RoutedBy.AUCTION,
    )
    assert (record.price, record.currency, record.reason) == (Decimal("52.5"), "USD", None)
    assert record.answered_at == call.received_at + timedelta(seconds=8)
    assert record.ended_at == call.received_at + timedelta(seconds=128)
    durations = (record.total_duration_s, record.connected_duration_s)
    assert durations == (Decimal(128), Decimal(120))
    assert (record.ended_by, record.trace) == ("caller", b"why")
    assert (record.converted, record.conversion_trigger) == (True, "answered")
    assert (record.revenue, record.payout) == (Decimal("52.50"), Decimal(0))
    assert record.attempts == (
        AttemptRecord(1, candidate.offer, RoutedBy.AUCTION, Decimal("52.5"), "ended"),
    )


async def test_a_call_without_a_route_comes_back_with_its_reason(
    ledger: PostgresLedger, records: CallRecords
) -> None:
    call = a_recent_call(caller=Caller(), fields={"zip_code": "90210", "n": 1.5})
    await open_call(ledger, call)
    await ledger.finish(a_finish(call, None))
    record = await records.get_call(call.call_id)
    assert record is not None
    assert record.call == call
    assert (record.state, record.reason) == ("no_route", "no_eligible_offer")
    assert (record.offer, record.price, record.attempts) == (None, None, ())
    assert (record.converted, record.revenue) == (False, Decimal(0))


async def test_a_call_that_is_being_decided_has_no_route_yet(
    ledger: PostgresLedger, records: CallRecords
) -> None:
    call = a_recent_call()
    await reserve(ledger, call)
    record = await records.get_call(call.call_id)
    assert record is not None
    assert (record.state, record.attempts, record.trace) == ("deciding", (), None)


async def test_a_call_decided_anew_shows_its_last_decision(
    ledger: PostgresLedger, records: CallRecords
) -> None:
    call = a_recent_call()
    await open_call(ledger, call)
    await ledger.finish(a_finish(call, None, binding=False, trace=b"first"))
    later = replace(call, received_at=call.received_at + timedelta(seconds=5), source=None)
    await ledger.open(an_opening(later, fingerprint=b"corrected", revision=2))
    await ledger.finish(a_finish(later, None, epoch=2, trace=b"second"))
    record = await records.get_call(call.call_id)
    assert record is not None
    assert (record.call, record.trace, record.revision) == (later, b"second", 2)


async def test_the_routes_known_at_the_decision_are_told(
    ledger: PostgresLedger, records: CallRecords
) -> None:
    first, second = a_recent_call("first"), a_recent_call("second")
    await route(ledger, first)
    await route(ledger, second, a_candidate("beacon"))
    record = await records.get_call(second.call_id)
    assert record is not None
    assert [past.offer for past in record.past_calls] == ["acme-auto"]
    record = await records.get_call(first.call_id)
    assert record is not None
    assert record.past_calls == ()


async def stored(database: Database, **tables: list[Any]) -> CallRecords:
    """Rows put into tables as they are, and what reads them."""
    async with database.connection() as connection:
        for table, rows in tables.items():
            for row in rows:
                await put(connection, table, row)
    return CallRecords(database, CALL_VAULT)


async def test_every_attempt_is_told_with_how_it_went(database: Database) -> None:
    records = await stored(
        database,
        calls=[a_call_row("c-1", offer="cobalt-auto", buyer="cobalt", routed_by="static")],
        reservations=[
            an_attempt_row("c-1", 1, state="failed", reason="busy"),
            an_attempt_row("c-1", 2, offer="beacon-auto", state="lost"),
            an_attempt_row("c-1", 3, offer="cobalt-auto", routed_by="static"),
            an_attempt_row("c-1", 4, state="released"),
        ],
    )
    record = await records.get_call(CallId("c-1"))
    assert record is not None
    price = Decimal(52)
    assert record.attempts == (
        AttemptRecord(1, OfferId("acme-auto"), RoutedBy.AUCTION, price, "failed", "busy"),
        AttemptRecord(2, OfferId("beacon-auto"), RoutedBy.AUCTION, price, "lost"),
        AttemptRecord(3, OfferId("cobalt-auto"), RoutedBy.STATIC, price, "ended"),
    )


async def test_a_call_that_an_earlier_attempt_sold_shows_the_times_of_that(
    database: Database,
) -> None:
    answered_at, ended_at = NEWEST + timedelta(seconds=1), NEWEST + timedelta(seconds=21)
    first = an_attempt_row(
        "sold", 1, state="failed", reason="short_call", answered_at=answered_at, ended_at=ended_at
    )
    second = an_attempt_row("sold", 2, offer="beacon-auto", buyer="beacon", reason=None)
    records = await stored(
        database,
        calls=[a_call_row("sold", attempt=2)],
        reservations=[{**first, "connected_duration_s": Decimal(20)}, second],
        conversions=[a_conversion_row("sold")],
    )
    [listed] = (await CallLists(records).list_calls(CallFilter(), None, 10)).calls
    record = await records.get_call(CallId("sold"))
    for shown in (record, listed):
        assert shown is not None
        assert (shown.buyer, shown.answered_at, shown.ended_at) == ("acme", answered_at, ended_at)
        assert [shown.connected_duration_s, shown.total_duration_s] == [20, 128]


@pytest.mark.parametrize(("withdrawn", "found"), [(False, ["sold"]), (True, [])])
async def test_a_call_counts_as_answered_where_it_was_sold(
    database: Database, *, withdrawn: bool, found: list[str]
) -> None:
    records = await stored(
        database,
        calls=[a_call_row("sold", attempt=2, answered_at=None, connected_duration_s=None)],
        reservations=[an_attempt_row("sold", 1, state="failed", answered_at=NEWEST)],
        conversions=[a_conversion_row("sold", withdrawn=withdrawn)],
    )
    wanted = CallFilter(outcome=CallOutcome.ANSWERED)
    page = await CallLists(records).list_calls(wanted, None, 10)
    assert [each.call.call_id for each in page.calls] == found


async def test_a_withdrawn_conversion_earns_nothing_and_has_no_trigger(database: Database) -> None:
    records = await stored(
        database,
        calls=[a_call_row("both"), a_call_row("paid")],
        conversions=[
            a_conversion_row("both", withdrawn=True),
            a_conversion_row("both", "source", withdrawn=True),
            a_conversion_row("paid", withdrawn=True),
            a_conversion_row("paid", "source"),
        ],
    )
    both, paid = (await records.get_call(CallId("both")), await records.get_call(CallId("paid")))
    assert both is not None
    assert paid is not None
    assert (both.converted, both.conversion_trigger) == (False, None)
    assert (both.revenue, both.payout) == (Decimal(0), Decimal(0))
    assert (paid.converted, paid.revenue, paid.payout) == (False, Decimal(0), Decimal(20))


async def test_the_first_decisions_trace_is_kept_apart_from_later_ones(database: Database) -> None:
    def a_trace(call_id: str, attempt: int, at: datetime = NEWEST) -> dict[str, Any]:
        text = f"{call_id} {attempt}".encode()
        return {"call_id": call_id, "received_at": at, "attempt": attempt, "trace": text}

    records = await stored(
        database,
        calls=[a_call_row("c-1"), a_call_row("late"), a_call_row("none")],
        traces=[
            a_trace("c-1", 3),
            a_trace("c-1", 1),
            a_trace("c-1", 2),
            a_trace("c-1", 4, NEWEST - timedelta(days=1)),
            a_trace("late", 2),
        ],
    )
    found = [await records.get_call(CallId(each)) for each in ("c-1", "late", "none")]
    assert [(each.trace, each.later_traces) for each in found if each] == [
        (b"c-1 1", ((2, b"c-1 2"), (3, b"c-1 3"))),
        (None, ((2, b"late 2"),)),
        (None, ()),
    ]


async def test_a_failed_attempt_that_nobody_answered_is_no_earlier_route(
    database: Database,
) -> None:
    caller = b"the same caller"
    before: dict[str, Any] = {"caller_hash": caller, "reserved_at": NEWEST - timedelta(hours=1)}
    records = await stored(
        database,
        calls=[a_call_row("now", caller_hash=caller)],
        reservations=[
            an_attempt_row("busy", state="failed", **before),
            an_attempt_row("short", state="failed", answered_at=NEWEST, offer="short", **before),
            an_attempt_row("ended", offer="ended", **before),
            an_attempt_row("given-back", state="released", **before),
        ],
    )
    record = await records.get_call(CallId("now"))
    assert record is not None
    assert {past.offer for past in record.past_calls} == {"short", "ended"}


async def test_how_the_money_came_about_is_read_in_order(database: Database) -> None:
    shared = {"call_id": "c-1", "attempt": 1, "at": NEWEST, "recorded_at": NEWEST}
    booked = {**shared, "side": "buyer", "kind": "booked", "trigger": "answered"}
    withdrawn = {**shared, "side": "buyer", "kind": "withdrawn", "trigger": "postback"}
    records = await stored(
        database,
        conversion_entries=[
            {**booked, "amount": Decimal(52), "change": Decimal(52), "actor": "switch"},
            {
                **withdrawn,
                "amount": Decimal(0),
                "change": Decimal(-52),
                "actor": "buyer:acme",
                "event_id": "e-1",
                "note": "a wrong number",
                "beyond_hold": True,
            },
            {**booked, "call_id": "c-2", "amount": 1, "change": 1, "actor": "switch"},
        ],
    )
    first, second = await records.get_entries(CallId("c-1"))
    expected = Entry(
        call_id=CallId("c-1"),
        side=Side.BUYER,
        attempt=1,
        kind=EntryKind.BOOKED,
        trigger=Trigger.ANSWERED,
        amount=Decimal(52),
        change=Decimal(52),
        at=NEWEST,
        actor="switch",
    )
    assert first.entry == expected
    assert second.entry == replace(
        expected,
        kind=EntryKind.WITHDRAWN,
        trigger=Trigger.POSTBACK,
        amount=Decimal(0),
        change=Decimal(-52),
        actor="buyer:acme",
        event_id="e-1",
        note="a wrong number",
        beyond_hold=True,
    )
    assert (first.recorded_at, second.recorded_at) == (NEWEST, NEWEST)
    assert await records.get_entries(CallId("nobody")) == ()


async def test_numbers_and_fields_are_nowhere_in_plain_text(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call(fields={"secret": "of the caller"})
    await route(ledger, call)
    async with database.connection() as connection:
        for table in ("calls", "reservations", "plans", "traces"):
            for row in await connection.fetch(f"select t::text as text from {table} t"):
                assert "3105551234" not in row["text"]
                assert b"3105551234".hex() not in row["text"]
                assert b"of the caller".hex() not in row["text"]


async def test_the_ledgers_state_as_a_whole(database: Database, ledger: PostgresLedger) -> None:
    await route(ledger, a_recent_call("one"))
    await route(ledger, a_recent_call("two"))
    await reserve(ledger, a_recent_call("three"))
    reading = await read_ledger(database)
    assert reading.usage[OFFER_OWNER].live == 3
    assert reading.holds == {
        ("acme-auto", HoldState.HELD): 1,
        ("acme-auto", HoldState.ROUTED): 2,
    }


async def test_partitions_are_made_ahead_once(
    database: Database, ledger: PostgresLedger, records: CallRecords
) -> None:
    assert await add_partitions(database, 3) == 6
    assert await add_partitions(database, 3) == 0
    assert await add_partitions(database, 4) == 2
    call = a_recent_call(received_at=datetime.now(UTC))
    await route(ledger, call, trace=b"why")
    async with database.connection() as connection:
        day = call.received_at.date()
        held = await connection.fetchval(f"select count(*) from traces_{day:%Y%m%d}")
    assert held == 1
    record = await records.get_call(call.call_id)
    assert record is not None
    assert record.trace == b"why"


async def test_a_day_that_began_without_a_partition_goes_on_so(
    database: Database, ledger: PostgresLedger, records: CallRecords
) -> None:
    call = a_recent_call(received_at=datetime.now(UTC))
    await route(ledger, call, trace=b"why")
    assert await add_partitions(database, 2) == 2
    async with database.connection() as connection:
        names = await connection.fetch("select relname from pg_class where relispartition")
    today = f"{date.today():%Y%m%d}"  # noqa: DTZ011 - the server's day is that of UTC, as here
    assert f"traces_{today}" not in {row["relname"] for row in names}
    record = await records.get_call(call.call_id)
    assert record is not None
    assert record.trace == b"why"


async def test_however_many_read_calls_most_connections_are_free(
    database: Database, records: CallRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    lent, most = 0, 0
    lend = database.connection

    @asynccontextmanager
    async def counted() -> AsyncIterator[Connection]:
        nonlocal lent, most
        async with lend() as connection:
            lent += 1
            most = max(most, lent)
            yield connection
            lent -= 1

    monkeypatch.setattr(database, "connection", counted)
    found = await asyncio.gather(*(records.get_call(CallId("nobody")) for _ in range(50)))
    assert found == [None] * 50
    assert most == 2


async def test_who_waits_too_long_for_a_turn_to_read_is_told_so(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.records.PATIENCE_S", 0.01)
    nobodys_turn = CallRecords(database, VAULT, at_once=0)
    with pytest.raises(StorageUnavailableError):
        await nobodys_turn.get_call(CallId("nobody"))


async def test_making_partitions_never_keeps_calls_waiting_and_gives_up_in_the_end(
    database: Database, ledger: PostgresLedger
) -> None:
    await reserve(ledger, a_recent_call("first"))
    async with database.transaction() as connection:
        await connection.execute("select * from plans")
        making = asyncio.create_task(add_partitions(database, 1))
        started = time.monotonic()
        for number in range(20):
            await reserve(ledger, a_recent_call(f"call-{number}"))
            assert time.monotonic() - started < 2
        with pytest.raises(StorageUnavailableError):
            await making
    assert await add_partitions(database, 2) == 3, "today's plans stay where they are"
