"""Calls that their switch has no more: closed before their leases end, once, and settled then."""

import asyncio
from collections.abc import Mapping
from decimal import Decimal

import pytest_asyncio

from auction.domain.conversions import Side
from auction.domain.ids import CallId, OwnerId
from auction.domain.switch_events import EventResult, EventType
from auction.domain.terms import ConversionRule, Trigger
from auction.domain.usage import NOTHING, Usage
from storage.database import Database
from storage.events import CallEvents
from storage.lapsing import Lapsed, close_as_lost
from storage.ledger import PostgresLedger
from storage.outbox import SILENT, Outbox
from storage.queries import query
from storage.sweeper import Sweeper
from tests.ledger_steps import (
    LEASE_OVER,
    a_candidate,
    a_ledger,
    a_recent_call,
    an_event,
    assert_balanced,
    reserve,
    rewind,
    route,
    today,
    usage_of,
)
from tests.money_steps import Listening, assert_tied_out, entries, pays

ANSWERED, ENDED = EventType.ANSWERED, EventType.ENDED


@pytest_asyncio.fixture
async def ledger(database: Database) -> PostgresLedger:
    return a_ledger(database)


@pytest_asyncio.fixture
async def events(database: Database) -> CallEvents:
    return CallEvents(database, lambda _: None)


async def close(database: Database, *call_ids: str, outbox: Outbox = SILENT) -> Lapsed:
    """The switch has these calls no more."""
    async with database.transaction() as connection:
        rows = await connection.fetch(query("lock_reported"), sorted(call_ids))
        return await close_as_lost(connection, rows, actor="switch:west", outbox=outbox)


async def states(database: Database) -> dict[str, str]:
    """The states of all calls."""
    async with database.connection() as connection:
        rows = await connection.fetch("select call_id, state from calls")
    return {row["call_id"]: row["state"] for row in rows}


async def test_a_route_is_given_back_while_its_lease_still_runs(
    database: Database, ledger: PostgresLedger
) -> None:
    await route(ledger, a_recent_call("gone"))
    await route(ledger, a_recent_call("there"))
    closed = await close(database, "gone")
    assert (closed.released, closed.call_ids) == (1, {CallId("gone")})
    assert await states(database) == {"gone": "lost", "there": "routed"}
    usage = await usage_of(database)
    assert (usage.live, today(usage)[0]) == (1, (1, 0, 0, 0))
    assert (await close(database, "gone")).call_ids == set()
    await rewind(database, LEASE_OVER, [CallId("gone")])
    assert await Sweeper(database).sweep() == 0
    await assert_balanced(database)


async def test_an_answered_call_is_settled_by_the_name_of_its_switch(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    outbox = Listening()
    rules = (
        ConversionRule(Trigger.TIMER, 90),
        ConversionRule(Trigger.ANSWERED, amount=Decimal("5.00")),
    )
    call = a_recent_call()
    await route(ledger, call, a_candidate(conversions=rules, payouts=(pays("2.00"),)))
    await events.record(an_event(call, ANSWERED, 8))
    closed = await close(database, "call-1", outbox=outbox)
    assert await entries(database) == [
        ("source", "booked", Decimal(2), "switch"),
        ("buyer", "booked", Decimal(5), "switch:west"),
    ]
    assert outbox.told == ["call.converted"], "a call that is lost has not ended"
    seen: list[Mapping[OwnerId, Usage]] = []
    earned: list[tuple[Side, Decimal]] = []
    closed.tell(seen.append, lambda _, __, *each: earned.append(each))
    assert earned == [(Side.BUYER, Decimal(5))]
    assert [usage[OwnerId("offer:acme-auto")].live for usage in seen] == [0]
    assert today(await usage_of(database)) == ((1, 1, 1, 50_000), NOTHING)
    await assert_balanced(database)
    await assert_tied_out(database)


async def test_a_call_that_was_closed_still_settles_when_it_ends_after_all(
    database: Database, ledger: PostgresLedger
) -> None:
    outbox = Listening()
    events = CallEvents(database, lambda _: None, outbox=outbox)
    call = a_recent_call()
    await route(ledger, call)
    await close(database, "call-1")
    ended = an_event(call, ENDED, 128, connected_duration_s=Decimal(120))
    assert await events.record(ended) is EventResult.APPLIED
    assert await states(database) == {"call-1": "ended"}
    assert outbox.told == ["call.answered", "call.ended", "call.converted"]
    assert today(await usage_of(database)) == (NOTHING, NOTHING), "no counter is taken again"
    await assert_balanced(database)


async def test_calls_that_are_not_at_their_switch_stay_as_they_are(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    await reserve(ledger, a_recent_call("deciding"))
    await route(ledger, a_recent_call("late"), late=True)
    await route(ledger, a_recent_call("ended"))
    await events.record(an_event(a_recent_call("ended"), ENDED, 30))
    before = await states(database)
    closed = await close(database, "deciding", "ended", "late", "unknown")
    assert (closed.released, closed.call_ids) == (0, set())
    assert await states(database) == before
    assert (await usage_of(database)).live == 2


async def test_nothing_is_closed_without_calls(database: Database) -> None:
    closed = await close(database, "unknown")
    assert (closed.released, closed.usage) == (0, {})


async def test_test_calls_are_closed_and_book_nothing(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    call = a_recent_call(test=True)
    await route(ledger, call, a_candidate(owners=(), payouts=(pays("2.00"),)))
    await events.record(an_event(call, ANSWERED, 8))
    assert (await close(database, "call-1")).call_ids == {CallId("call-1")}
    assert await entries(database) == []


async def test_two_reconciliations_a_sweep_and_an_end_at_once_release_a_slot_once(
    dsn: str, database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    far = await Database.connect(dsn)
    for number in range(15):
        call = a_recent_call(f"call-{number}")
        await route(ledger, call)
        await rewind(database, LEASE_OVER, [call.call_id])
        ended = an_event(call, ENDED, 60, connected_duration_s=Decimal(50))
        await asyncio.gather(
            close(database, call.call_id),
            close(far, call.call_id),
            Sweeper(far).sweep(),
            events.record(ended),
        )
    assert set((await states(database)).values()) == {"ended"}
    assert (await usage_of(database)).live == 0
    found = [side for side, *_ in await entries(database)]
    assert found == ["buyer"] * 15
    await assert_balanced(database)
    await assert_tied_out(database)
    await far.close()
