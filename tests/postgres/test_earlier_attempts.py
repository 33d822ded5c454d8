"""Reports of attempts that failed: noted there, booked where nothing was before, never the call's.

Each call here has gone to one buyer, who was busy, and then to another.
"""

import asyncio
from decimal import Decimal
from itertools import permutations
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from auction.domain.call import Call
from auction.domain.ids import OwnerId
from auction.domain.switch_events import CallEvent, EventResult, EventType
from auction.domain.terms import ConversionRule, Trigger
from auction.domain.usage import NOTHING
from storage.database import Database
from storage.events import CallEvents
from storage.ledger import PostgresLedger
from storage.sweeper import Sweeper
from tests.ledger_steps import (
    CLAIM_OVER,
    LEASE_OVER,
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
from tests.money_steps import (
    Listening,
    assert_tied_out,
    entries,
    fail_over,
    give_up,
    pays,
    pays_share,
    sides,
)

APPLIED, IGNORED = EventResult.APPLIED, EventResult.IGNORED
ANSWERED, ENDED = EventType.ANSWERED, EventType.ENDED
FIRST = a_candidate("acme-auto", price="52.00")
SECOND = a_candidate("best-auto", buyer="best", price="40.00")
SECOND_OWNER = OwnerId("offer:best-auto")


@pytest.fixture
def call() -> Call:
    return a_recent_call()


@pytest_asyncio.fixture
async def ledger(database: Database) -> PostgresLedger:
    return a_ledger(database)


@pytest_asyncio.fixture
async def events(database: Database) -> CallEvents:
    return CallEvents(database, lambda _: None)


def of(attempt: int, call: Call, kind: EventType, at_s: float, **changes: Any) -> CallEvent:
    """A report of an attempt."""
    event_id = changes.pop("event_id", f"{attempt}-{kind.value}")
    return an_event(call, kind, at_s, attempt=attempt, event_id=event_id, **changes)


async def row_of(database: Database, table: str, attempt: int = 1) -> asyncpg.Record:
    """The call's row, or that of one of its attempts."""
    statement = "select * from calls"
    if table == "reservations":
        statement = f"select * from reservations where attempt = {attempt}"
    async with database.connection() as connection:
        row = await connection.fetchrow(statement)
    assert row is not None
    return row


async def test_a_report_of_the_attempt_before_is_noted_there_and_leaves_the_call(
    database: Database, ledger: PostgresLedger, events: CallEvents, call: Call
) -> None:
    unpaid = a_candidate(conversions=(ConversionRule(Trigger.TIMER, 90),))
    await route(ledger, call, unpaid)
    await fail_over(ledger, call, SECOND)
    before = await row_of(database, "calls")
    assert await events.record(of(1, call, ANSWERED, 5)) is APPLIED
    ended = of(1, call, ENDED, 25)
    assert await events.record(ended) is APPLIED
    assert await events.record(ended) is EventResult.REPEATED
    assert await events.record(of(1, call, ENDED, 26, event_id="again")) is IGNORED
    assert await events.record(of(1, call, ANSWERED, 6, event_id="once more")) is IGNORED
    assert await row_of(database, "calls") == before
    failed = await row_of(database, "reservations")
    assert (failed["state"], failed["reason"]) == ("failed", "busy")
    assert failed["ended_at"] == ended.at
    assert failed["connected_duration_s"] == 20
    assert await sides(database) == {}
    assert today(await usage_of(database)) == (NOTHING, NOTHING)
    assert (await usage_of(database, SECOND_OWNER)).live == 1
    await assert_balanced(database)


async def test_an_attempt_that_failed_may_convert_late_and_then_its_buyer_pays(
    database: Database, ledger: PostgresLedger, events: CallEvents, call: Call
) -> None:
    await route(ledger, call, a_candidate(payouts=(pays_share("25"),)))
    await fail_over(ledger, call, SECOND)
    before = await row_of(database, "calls")
    assert (before["offer"], before["price"]) == ("best-auto", Decimal(40))
    await events.record(of(1, call, ANSWERED, 5))
    assert await sides(database) == {
        "buyer": (1, "answered", Decimal(52)),
        "source": (1, "answered", Decimal(13)),
    }
    after = dict(await row_of(database, "calls"))
    assert (after["offer"], after["buyer"], after["price"]) == ("acme-auto", "acme", Decimal(52))
    paid = {"offer": "acme-auto", "buyer": "acme", "price": Decimal(52)}
    assert after == {**before, **paid}, "the call itself is where it was"
    assert today(await usage_of(database)) == (NOTHING, NOTHING), "no counter is taken again"
    await events.record(of(2, call, ANSWERED, 30))
    await events.record(of(2, call, ENDED, 90))
    assert (await sides(database))["buyer"] == (1, "answered", Decimal(52))
    assert (await row_of(database, "calls"))["offer"] == "acme-auto"
    assert today(await usage_of(database, SECOND_OWNER)) == ((1, 1, 0, 0), NOTHING)
    await assert_balanced(database)
    await assert_tied_out(database)


async def test_once_the_second_attempt_has_converted_the_first_never_does(
    database: Database, ledger: PostgresLedger, events: CallEvents, call: Call
) -> None:
    await route(ledger, call, a_candidate(payouts=(pays("8.00"),)))
    await fail_over(ledger, call, SECOND)
    await events.record(of(2, call, ANSWERED, 30))
    await events.record(of(1, call, ANSWERED, 5))
    assert await sides(database) == {
        "buyer": (2, "answered", Decimal(40)),
        "source": (1, "answered", Decimal(8)),
    }
    assert (await row_of(database, "calls"))["offer"] == "best-auto"
    await assert_tied_out(database)


@pytest.mark.parametrize("order", list(permutations(range(4))))
async def test_reports_of_both_attempts_in_any_order_book_each_side_once(
    database: Database, ledger: PostgresLedger, events: CallEvents, call: Call, order: list[int]
) -> None:
    await route(ledger, call, a_candidate(payouts=(pays_share("25"),)))
    await fail_over(
        ledger, call, a_candidate("best-auto", buyer="best", payouts=(pays_share("25"),))
    )
    reports = [
        of(1, call, ANSWERED, 5),
        of(1, call, ENDED, 25),
        of(2, call, ANSWERED, 40),
        of(2, call, ENDED, 100),
    ]
    for place in order:
        assert await events.record(reports[place]) is APPLIED
    booked = await sides(database)
    assert set(booked) == {"buyer", "source"}
    assert {amount for _, _, amount in booked.values()} == {Decimal(52), Decimal(13)}
    row = await row_of(database, "calls")
    assert (row["state"], row["total_duration_s"]) == ("ended", 100)
    assert row["connected_duration_s"] == 60
    payer = {1: "acme-auto", 2: "best-auto"}[booked["buyer"][0]]
    assert row["offer"] == payer
    assert (await usage_of(database)).live == 0
    assert (await usage_of(database, SECOND_OWNER)).live == 0
    await assert_balanced(database)
    await assert_tied_out(database)


async def test_a_call_that_is_being_decided_anew_hears_only_of_the_attempt_before(
    database: Database, ledger: PostgresLedger, events: CallEvents, call: Call
) -> None:
    await route(ledger, call, FIRST)
    await give_up(ledger, call)
    assert await events.record(of(1, call, ENDED, 25)) is APPLIED
    for number in (None, 2):
        current = an_event(call, ENDED, 30, attempt=number, event_id=f"ended-{number}")
        assert await events.record(current) is EventResult.NOT_ROUTED
    row = await row_of(database, "calls")
    assert (row["state"], row["attempt"], row["ended_at"]) == ("rerouting", 2, None)


async def test_a_call_without_a_second_route_ends_once_and_keeps_what_its_first_tells(
    database: Database, ledger: PostgresLedger, events: CallEvents, call: Call
) -> None:
    await route(ledger, call, FIRST)
    rerouting = await give_up(ledger, call)
    finish = a_finish(call, None, epoch=rerouting.epoch, attempt=2)
    await ledger.finish(finish)
    assert await events.record(of(1, call, ENDED, 25)) is APPLIED
    ended = an_event(call, ENDED, 30, attempt=None)
    assert await events.record(ended) is APPLIED
    row = await row_of(database, "calls")
    assert (row["state"], row["ended_at"], row["offer"]) == ("no_route", ended.at, None)
    assert await events.record(of(1, call, ANSWERED, 5)) is APPLIED
    assert (await sides(database))["buyer"] == (1, "answered", Decimal(52))
    row = await row_of(database, "calls")
    assert (row["state"], row["offer"]) == ("no_route", "acme-auto")


async def test_subscribers_hear_of_each_attempts_answer_and_of_one_end(
    database: Database, ledger: PostgresLedger, call: Call
) -> None:
    outbox = Listening()
    events = CallEvents(database, lambda _: None, outbox=outbox)
    unpaid = a_candidate(conversions=(ConversionRule(Trigger.TIMER, 90),))
    await route(ledger, call, unpaid)
    await fail_over(ledger, call, SECOND)
    for report in (
        of(1, call, ENDED, 25, connected_duration_s=Decimal(5)),
        of(2, call, ANSWERED, 40),
        of(2, call, ENDED, 100),
    ):
        await events.record(report)
    assert [
        (fact.event.value, fact.buyer, fact.data["attempt"])
        for fact in outbox.facts
        if fact.event.value.startswith("call.") and "side" not in fact.data
    ] == [
        ("call.answered", "acme", 1),
        ("call.answered", "best", 2),
        ("call.ended", "best", 2),
    ]


async def test_the_hold_of_a_further_attempt_is_released_when_its_decider_died(
    database: Database, ledger: PostgresLedger, call: Call
) -> None:
    await route(ledger, call, FIRST)
    rerouting = await give_up(ledger, call)
    await ledger.reserve(a_request(call, SECOND, epoch=rerouting.epoch, attempt=2))
    await rewind(database, LEASE_OVER, [call.call_id])
    assert await Sweeper(database).sweep() == 0, "it may still be deciding"
    await rewind(database, CLAIM_OVER, [call.call_id])
    await rewind(database, LEASE_OVER, [call.call_id])
    assert await Sweeper(database).sweep() == 1
    row = await row_of(database, "calls")
    assert (row["state"], row["epoch"] != rerouting.epoch) == ("rerouting", True)
    assert (await usage_of(database, SECOND_OWNER)).live == 0
    await assert_balanced(database)


async def test_the_reports_of_two_attempts_at_two_workers_book_each_side_once(
    dsn: str, database: Database, ledger: PostgresLedger
) -> None:
    far = await Database.connect(dsn)
    workers = [CallEvents(each, lambda _: None) for each in (database, far)]
    for number in range(15):
        call = a_recent_call(f"call-{number}")
        await route(ledger, call, a_candidate(payouts=(pays("8.00"),)))
        await fail_over(ledger, call, SECOND)
        results = await asyncio.gather(
            workers[0].record(of(1, call, ANSWERED, 5)),
            workers[1].record(of(2, call, ANSWERED, 40)),
        )
        assert list(results) == [APPLIED] * 2
    found = [side for side, *_ in await entries(database)]
    assert (found.count("buyer"), found.count("source")) == (15, 15)
    await assert_balanced(database)
    await assert_tied_out(database)
    await far.close()
