"""Attempts that are sold: the call names who pays, and ends even if nobody tells of its end."""

import asyncio
from decimal import Decimal

import asyncpg
import pytest
import pytest_asyncio

from auction.domain.finishing import Finished
from auction.domain.next_attempt import AlreadyConverted
from auction.domain.reserving import Reserved
from auction.domain.switch_events import EventResult, EventType
from auction.domain.terms import ConversionRule, Trigger
from auction.domain.usage import NOTHING
from storage.database import Database
from storage.events import CallEvents
from storage.holds import HoldState
from storage.ledger import PostgresLedger
from storage.readings import read_ledger
from storage.records import CallRecords
from storage.sweeper import Sweeper
from tests.eventually import eventually
from tests.ledger_steps import (
    LEASE_OVER,
    LOCK_CALL,
    VAULT,
    a_candidate,
    a_finish,
    a_ledger,
    a_recent_call,
    a_request,
    an_event,
    assert_balanced,
    rewind,
    route,
    today,
    usage_of,
)
from tests.next_steps import a_failure, reroute, route_first
from tests.routing_steps import ATTEMPT
from tests.waiting import someone_waits

ACME = a_candidate()
BEACON = a_candidate("beacon-auto", buyer="beacon", price="40.00")
SOLD_FIRST = """
    with booked as (
        insert into conversions (call_id, side, attempt, amount, trigger, at)
        values ($1, 'buyer', 1, 52, 'answered', now())
    )
    update calls set offer = 'acme-auto' where call_id = $1
"""


@pytest_asyncio.fixture
async def ledger(database: Database) -> PostgresLedger:
    return a_ledger(database)


@pytest_asyncio.fixture
async def events(database: Database) -> CallEvents:
    return CallEvents(database, lambda _: None)


async def the_call(database: Database) -> asyncpg.Record:
    async with database.connection() as connection:
        row = await connection.fetchrow("select * from calls")
    assert row is not None
    return row


@pytest.mark.parametrize("further", [True, False])
async def test_a_call_that_is_sold_while_its_next_route_is_decided_names_who_pays(
    database: Database, ledger: PostgresLedger, events: CallEvents, further: bool
) -> None:
    call = a_recent_call()
    await route_first(ledger, call, ACME, BEACON)
    again = await reroute(ledger, call)
    ours = {"epoch": again.epoch, "attempt": 2}
    assert await ledger.reserve(a_request(call, BEACON, **ours)) == Reserved(0)
    assert await events.record(an_event(call, EventType.ANSWERED, 3)) is EventResult.APPLIED
    decision = a_finish(call, BEACON if further else None, **ours)
    assert await ledger.finish(decision) == Finished()
    row = await the_call(database)
    assert row["state"] == ("routed" if further else "no_route")
    paying = [row[each] for each in ("routed_by", "offer", "buyer", "price", "currency")]
    assert paying == ["auction", "acme-auto", "acme", Decimal(52), "USD"]
    await assert_balanced(database)


@pytest.mark.parametrize("further", [True, False])
async def test_a_decision_that_waited_for_the_sale_names_who_pays(
    database: Database, ledger: PostgresLedger, further: bool
) -> None:
    call = a_recent_call()
    await route_first(ledger, call, ACME, BEACON)
    again = await reroute(ledger, call)
    ours = {"epoch": again.epoch, "attempt": 2}
    if further:
        assert await ledger.reserve(a_request(call, BEACON, **ours)) == Reserved(0)
    async with database.transaction() as connection:
        await connection.execute(LOCK_CALL, call.call_id)
        decision = a_finish(call, BEACON if further else None, **ours)
        finishing = asyncio.ensure_future(ledger.finish(decision))
        await eventually(lambda: someone_waits(database))
        await connection.execute(SOLD_FIRST, call.call_id)
    assert await finishing == Finished()
    row = await the_call(database)
    assert (row["offer"], row["buyer"], row["price"]) == ("acme-auto", "acme", Decimal(52))


@pytest.mark.parametrize("answered", ["before", "after", "never"])
async def test_a_sold_call_whose_end_nobody_tells_of_is_given_up_with_its_lease(
    database: Database, ledger: PostgresLedger, events: CallEvents, answered: str
) -> None:
    call = a_recent_call()
    report = an_event(call, EventType.ANSWERED, 3)
    await route(ledger, call, a_candidate(conversions=(ATTEMPT,)))
    if answered == "before":
        await events.record(report)
    assert isinstance(await ledger.open_next(a_failure(call)), AlreadyConverted)
    if answered == "after":
        await events.record(report)
    usage = await usage_of(database)
    assert (usage.live, today(usage)[1]) == (0, NOTHING)
    assert (await read_ledger(database)).holds == {}, "what holds nothing is not counted"
    sweeper = Sweeper(database)
    assert await sweeper.sweep() == 0
    await rewind(database, LEASE_OVER, [call.call_id])
    assert await sweeper.sweep() == 1
    assert await sweeper.sweep() == 0
    assert (await the_call(database))["state"] == "lost"
    calls, answers = {"before": (1, 1), "after": (1, 0), "never": (0, 0)}[answered]
    assert today(await usage_of(database)) == ((calls, answers, 1, 520_000), NOTHING)
    await assert_balanced(database)


async def test_a_sold_attempt_that_the_switch_gave_up_shows_why(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    call = a_recent_call()
    await route(ledger, call, a_candidate(conversions=(ATTEMPT,)))
    assert isinstance(await ledger.open_next(a_failure(call)), AlreadyConverted)
    await events.record(an_event(call, EventType.ENDED, 30))
    record = await CallRecords(database, VAULT).get_call(call.call_id)
    assert record is not None
    assert [(each.outcome, each.reason) for each in record.attempts] == [("failed", "busy")]
    assert (record.converted, record.state) == (True, "ended")
    async with database.connection() as connection:
        row = await connection.fetchrow("select state, sip_code from reservations")
    assert row is not None
    assert tuple(row) == ("ended", 486)


async def test_a_sold_call_that_ends_is_not_looked_at_again(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    call = a_recent_call()
    await route(ledger, call, a_candidate(conversions=(ATTEMPT,)))
    await events.record(an_event(call, EventType.ANSWERED, 3))
    assert isinstance(await ledger.open_next(a_failure(call)), AlreadyConverted)
    await events.record(an_event(call, EventType.ENDED, 30))
    async with database.connection() as connection:
        assert await connection.fetchval("select sweep_at from reservations") is None
    assert (await the_call(database))["state"] == "ended"


async def test_what_a_buyer_may_still_report_counts_as_held(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    call = a_recent_call()
    await route(ledger, call, a_candidate(conversions=(ConversionRule(Trigger.POSTBACK),)))
    await events.record(an_event(call, EventType.ANSWERED, 3))
    await events.record(an_event(call, EventType.ENDED, 30))
    assert (await usage_of(database)).live == 0
    assert (await read_ledger(database)).holds == {("acme-auto", HoldState.ENDED): 1}


async def test_a_late_route_that_its_buyer_reported_was_given_when_its_switch_says_so(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    await route(ledger, call, ACME, late=True, collected_lease_ms=85_000)
    async with database.connection() as connection:
        await connection.execute(SOLD_FIRST, call.call_id)
    assert isinstance(await ledger.open_next(a_failure(call)), AlreadyConverted)
    assert (await the_call(database))["state"] == "routed"
    await rewind(database, LEASE_OVER, [call.call_id])
    await Sweeper(database).sweep()
    row = await the_call(database)
    assert (row["state"], row["binding"]) == ("lost", True)
    await assert_balanced(database)
