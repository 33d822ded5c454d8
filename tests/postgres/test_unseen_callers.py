"""Whoever waited for a call sees what was held meanwhile: callers are locked before being judged.

Each caller here has converted already, by a rule that pays once; their other call comes to be sold
under that rule while somebody waits for its lock.
"""

import asyncio
from collections.abc import Awaitable
from decimal import Decimal

import pytest_asyncio

from auction.domain.finishing import Finished
from auction.domain.postbacks import NamedBy, Postback, ReportStatus
from auction.domain.switch_events import EventResult, EventType
from auction.domain.terms import ConversionRule, Trigger, WebhookEvent
from storage.database import Database
from storage.events import CallEvents
from storage.lapsing import close_as_lost
from storage.ledger import PostgresLedger
from storage.postbacks import Postbacks
from storage.queries import query
from storage.retries import retrying
from tests.eventually import eventually
from tests.ledger_steps import (
    LOCK_CALL,
    a_candidate,
    a_finish,
    a_ledger,
    an_event,
    an_opening,
    reserve,
    route,
)
from tests.money_steps import pays, sides
from tests.routing_steps import ATTEMPT, PER_CALLER, Noticing, a_call_of, finish
from tests.waiting import someone_waits

SOLD_ALIKE = """
    update reservations as r set dedupes = true, terms = f.terms
    from reservations as f
    where f.call_id = 'first' and r.call_id = 'again'
"""
FIRST, AGAIN = a_call_of("first"), a_call_of("again")
TIMER = ConversionRule(Trigger.TIMER, 90)
REPORTED = ConversionRule(Trigger.POSTBACK)
ONCE_A_MONTH = ConversionRule(Trigger.ANSWERED, dedupe_days=30)


@pytest_asyncio.fixture
async def ledger(database: Database) -> PostgresLedger:
    return a_ledger(database)


@pytest_asyncio.fixture
async def events(database: Database) -> CallEvents:
    return CallEvents(database, lambda _: None)


async def while_it_waits(database: Database, work: Awaitable[object]) -> object:
    """What comes of work on the other call, which is sold like the first one meanwhile."""
    async with database.transaction() as connection:
        await connection.execute(LOCK_CALL, AGAIN.call_id)
        waiting = asyncio.ensure_future(work)
        await eventually(lambda: someone_waits(database))
        await connection.execute(SOLD_ALIKE)
    return await waiting


async def test_a_report(database: Database, ledger: PostgresLedger, events: CallEvents) -> None:
    await route(ledger, FIRST, a_candidate(conversions=(ONCE_A_MONTH,)))
    await route(ledger, AGAIN)
    await events.record(an_event(FIRST, EventType.ANSWERED, 3))
    report = events.record(an_event(AGAIN, EventType.ANSWERED, 5))
    assert await while_it_waits(database, report) is EventResult.APPLIED
    assert await sides(database, "again") == {}


async def test_the_end_of_a_lease(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    await route(ledger, FIRST, a_candidate(conversions=(TIMER, ONCE_A_MONTH)))
    await route(ledger, AGAIN, a_candidate(conversions=(TIMER,)))
    await events.record(an_event(FIRST, EventType.ENDED, 30, connected_duration_s=Decimal(20)))
    await events.record(an_event(AGAIN, EventType.ANSWERED, 5))

    async def close() -> None:
        async with database.transaction() as connection:
            rows = await connection.fetch(query("lock_reported"), [AGAIN.call_id])
            assert (await close_as_lost(connection, rows, actor="lease")).call_ids

    await while_it_waits(database, retrying(close))
    assert set(await sides(database, "first")) == {"buyer"}
    assert await sides(database, "again") == {}


async def test_a_buyers_report(database: Database, ledger: PostgresLedger) -> None:
    paid = a_candidate(conversions=(REPORTED,), payouts=(pays("8.00", Trigger.POSTBACK, days=30),))
    await route(ledger, FIRST, paid)
    await route(ledger, AGAIN, a_candidate(conversions=(REPORTED,)))
    postbacks = Postbacks(database)

    def report(call_id: str) -> Awaitable[object]:
        named = (NamedBy.CALL_ID, call_id, None, ReportStatus.CONVERTED)
        return postbacks.report(Postback(*named, fingerprint=b"sold", event_id=call_id))

    await report("first")
    await while_it_waits(database, report("again"))
    assert set(await sides(database, "first")) == {"buyer", "source"}
    assert set(await sides(database, "again")) == {"buyer"}


async def test_a_decision(database: Database, ledger: PostgresLedger) -> None:
    await route(ledger, FIRST, a_candidate(conversions=(PER_CALLER,)))
    candidate = a_candidate(conversions=(ATTEMPT,))
    await reserve(ledger, AGAIN, candidate)
    decision = finish(database, a_finish(AGAIN, candidate))
    assert await while_it_waits(database, decision) == [Finished()]
    assert await sides(database, "again") == {}


async def test_a_switch_that_comes_back(database: Database) -> None:
    ledger = a_ledger(database, outbox=Noticing(WebhookEvent.CALL_ROUTED))
    await route(ledger, FIRST, a_candidate(conversions=(PER_CALLER,)))
    await route(ledger, AGAIN, late=True)
    await while_it_waits(database, ledger.open(an_opening(AGAIN)))
    assert set(await sides(database, "first")) == {"buyer"}
    assert await sides(database, "again") == {}
    async with database.connection() as connection:
        state = await connection.fetchval("select state from calls where call_id = 'again'")
    assert state == "routed"
