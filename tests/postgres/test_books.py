"""Reservations as rows: written, read back, and found by the caller's hash."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio

from auction.domain.ids import CallId
from auction.domain.reserving import NothingFits, Reserved
from auction.domain.terms import (
    ConversionRule,
    DuplicateAfter,
    DuplicateRule,
    DuplicateScope,
    PayoutRule,
    Trigger,
)
from storage.books import lock_books
from storage.database import Database
from storage.ledger import PostgresLedger
from storage.queries import query
from tests.builders import CALLER, CAMPAIGN
from tests.ledger_steps import (
    LEASE_OVER,
    VAULT,
    a_candidate,
    a_ledger,
    a_recent_call,
    a_request,
    assert_balanced,
    from_number,
    open_call,
    reserve,
    rewind,
    route,
    usage_of,
)

NO_REPEATS = DuplicateRule(30, DuplicateAfter.ROUTED, DuplicateScope.CAMPAIGN)


@pytest_asyncio.fixture
async def ledger(database: Database) -> PostgresLedger:
    return a_ledger(database)


async def test_a_reservation_remembers_whose_call_it_was_and_what_was_bid(
    database: Database, ledger: PostgresLedger
) -> None:
    rule = ConversionRule(Trigger.TIMER, 90, dedupe_days=30)
    payout = PayoutRule(None, Trigger.ANSWERED, percent=Decimal("40.0000"))
    candidate = a_candidate(bid_id="b 1", conversions=(rule,), payouts=(payout,))
    call = a_recent_call()
    await reserve(ledger, call, candidate)
    async with database.transaction() as connection:
        books = await lock_books(connection, [call.call_id])
    hold = books.hold(call.call_id, 1)
    assert hold is not None
    assert (hold.source, hold.bid_id, hold.dedupes) == (call.source, "b 1", True)
    assert (hold.terms.rules, hold.terms.payouts) == ((rule,), (payout,))


async def test_everything_of_a_hold_is_stored_and_read_back(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    await reserve(ledger, call)
    async with database.transaction() as connection:
        books = await lock_books(connection, [call.call_id])
        (hold,) = books.holds_of(call.call_id)
        now = call.received_at
        changed = replace(
            hold.failed("busy", 486),
            bid_id="b 2",
            dedupes=True,
            connected_duration_s=Decimal("89.600"),
            answered_at=now,
            converted_at=now + timedelta(seconds=1),
            paid_at=now + timedelta(seconds=2),
            ended_at=now + timedelta(seconds=3),
        )
        books.put(changed)
        await books.write(connection)
    async with database.transaction() as connection:
        read = await lock_books(connection, [call.call_id])
    assert read.holds_of(call.call_id) == [changed]
    assert (await usage_of(database)).live == 0
    await assert_balanced(database)


@pytest.mark.parametrize("answered", [False, True])
async def test_an_attempt_that_failed_makes_a_duplicate_only_if_it_was_answered(
    database: Database, ledger: PostgresLedger, answered: bool
) -> None:
    call = a_recent_call("first")
    await route(ledger, call)
    async with database.transaction() as connection:
        books = await lock_books(connection, [call.call_id])
        (hold,) = books.holds_of(call.call_id)
        at = call.received_at if answered else None
        books.put(replace(hold.failed("no_answer", None), answered_at=at))
        await books.write(connection)
    again = a_recent_call("again")
    await open_call(ledger, again)
    result = await ledger.reserve(a_request(again, a_candidate(duplicates=NO_REPEATS)))
    assert isinstance(result, NothingFits if answered else Reserved)


async def test_a_callers_earnings_are_those_that_stand(
    database: Database, ledger: PostgresLedger
) -> None:
    now = datetime.now(UTC)
    changes: dict[str, dict[str, Any]] = {
        "sold": {"converted_at": now},
        "paid": {"paid_at": now},
        "nothing": {},
    }
    for name in changes:
        await route(ledger, a_recent_call(name))
    await route(ledger, a_recent_call("stranger", caller=from_number(2)))
    async with database.transaction() as connection:
        books = await lock_books(connection, [CallId(name) for name in changes])
        for name, times in changes.items():
            (hold,) = books.holds_of(CallId(name))
            books.put(replace(hold, **times))
        await books.write(connection)
        rows = await connection.fetch(query("past_conversions"), [VAULT.hash(CALLER.number)])
    earned = {row["call_id"]: (row["converted_at"], row["paid_at"]) for row in rows}
    assert earned == {"sold": (now, None), "paid": (None, now)}
    assert {(row["offer"], row["campaign"], row["source"]) for row in rows} == {
        ("acme-auto", CAMPAIGN, "pub-17")
    }


@pytest.mark.parametrize("statement", ["lock_reported", "lock_due"])
async def test_a_call_dedupes_when_one_of_its_attempts_does(
    database: Database, ledger: PostgresLedger, statement: str
) -> None:
    picky = a_candidate(conversions=(ConversionRule(Trigger.ANSWERED, dedupe_days=30),))
    calls = {"picky": picky, "plain": a_candidate()}
    for name, candidate in calls.items():
        await route(ledger, a_recent_call(name), candidate)
    await rewind(database, LEASE_OVER, map(CallId, calls))
    async with database.transaction() as connection:
        rows = await connection.fetch(
            query(statement), 10 if statement == "lock_due" else sorted(calls)
        )
    found = {row["call_id"]: row for row in rows}
    assert {name: row["dedupes"] for name, row in found.items()} == {"picky": True, "plain": False}
    row = found["picky"]
    assert row["caller_hash"] == VAULT.hash(CALLER.number)
    assert (row["source"], row["routed_by"], row["offer"]) == ("pub-17", "auction", "acme-auto")
    assert (row["buyer"], row["price"]) == ("acme", Decimal("52.00"))
