"""Whom a call names once a sale at an earlier attempt is withdrawn; routes that nobody came for."""

from collections.abc import Mapping
from typing import Any

import pytest
import pytest_asyncio

from auction.domain.call import Call
from auction.domain.finishing import Finished
from auction.domain.ids import BuyerId
from auction.domain.opening import AlreadyDecided, Opened
from auction.domain.postbacks import Reported
from auction.domain.switch_events import EventResult, EventType
from auction.domain.terms import ConversionRule, Trigger
from storage.callers import caller_key
from storage.database import Database
from storage.events import CallEvents
from storage.ledger import PostgresLedger
from storage.postbacks import Postbacks
from storage.queries import query
from storage.sweeper import Sweeper
from tests.ledger_steps import (
    LEASE_OVER,
    VAULT,
    a_candidate,
    a_finish,
    a_ledger,
    an_event,
    an_opening,
    assert_balanced,
    from_number,
    open_call,
    rewind,
    route,
)
from tests.next_steps import reroute, route_first, route_next
from tests.postgres.test_postbacks import a_postback, a_withdrawal
from tests.routing_steps import a_call_of

SOLD = a_candidate(conversions=(ConversionRule(Trigger.ANSWERED),))
BEACON = a_candidate(
    "beacon-auto", buyer="beacon", price="41.00", conversions=(ConversionRule(Trigger.POSTBACK),)
)
LATE: Mapping[str, Any] = {"late": True, "lease_ms": 5_000, "collected_lease_ms": 85_000}


@pytest_asyncio.fixture
async def ledger(database: Database) -> PostgresLedger:
    return a_ledger(database)


@pytest_asyncio.fixture
async def events(database: Database) -> CallEvents:
    return CallEvents(database, lambda _: None)


async def named(database: Database) -> tuple[object, ...]:
    """Whom the one call there is names, and for how much."""
    async with database.connection() as connection:
        row = await connection.fetchrow("select routed_by, offer, buyer, price from calls")
    assert row is not None
    return tuple(None if each is None else str(each) for each in row)


ACME_NAMED = ("auction", "acme-auto", "acme", "52.0000")
BEACON_NAMED = ("auction", "beacon-auto", "beacon", "41.0000")
NOBODY = (None, None, None, None)


async def withdraw(database: Database) -> None:
    assert isinstance(await Postbacks(database).report(a_withdrawal()), Reported)


async def sold_by_the_first(events: CallEvents, call: Call) -> None:
    """A report of an answer that comes after the attempt failed."""
    assert await events.record(an_event(call, EventType.ANSWERED, 5)) is EventResult.APPLIED


async def test_a_sale_withdrawn_at_an_earlier_attempt_leaves_the_call_to_its_current_one(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    call = a_call_of()
    await route_first(ledger, call, SOLD)
    await route_next(ledger, await reroute(ledger, call), BEACON)
    await sold_by_the_first(events, call)
    assert await named(database) == ACME_NAMED
    await withdraw(database)
    assert await named(database) == BEACON_NAMED
    answered = an_event(call, EventType.ANSWERED, 9, attempt=2, event_id="second")
    assert await events.record(answered) is EventResult.APPLIED
    assert await named(database) == BEACON_NAMED
    await assert_balanced(database)


async def test_a_withdrawn_sale_can_be_one_of_the_current_attempt(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    call = a_call_of()
    await route_first(ledger, call, SOLD)
    await route_next(ledger, await reroute(ledger, call), BEACON)
    await sold_by_the_first(events, call)
    await withdraw(database)
    bought = a_postback("40.00", event_id="e-3", buyer=BuyerId("beacon"))
    assert isinstance(await Postbacks(database).report(bought), Reported)
    assert await named(database) == BEACON_NAMED
    await assert_balanced(database)


async def test_a_withdrawn_sale_of_a_call_that_went_nowhere_else_names_nobody(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    call = a_call_of()
    await route_first(ledger, call, SOLD)
    again = await reroute(ledger, call)
    none = a_finish(call, None, epoch=again.epoch, attempt=again.attempt)
    assert await ledger.finish(none) == Finished()
    await sold_by_the_first(events, call)
    assert await named(database) == ACME_NAMED
    await withdraw(database)
    assert await named(database) == NOBODY


async def test_a_sale_withdrawn_at_the_current_attempt_goes_on_naming_it(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    call = a_call_of()
    await route_first(ledger, call, SOLD)
    await sold_by_the_first(events, call)
    await withdraw(database)
    assert await named(database) == ACME_NAMED


async def known_routes(database: Database, call: Call) -> int:
    """How many earlier routes of the caller a decision that holds the caller's lock goes by."""
    caller = VAULT.hash(call.caller.number)
    async with database.transaction() as connection:
        await connection.execute(
            query("lock_callers"), [0 if caller is None else caller_key(caller)]
        )
        return len(await connection.fetch(query("past_routes"), [caller]))


async def past_of(database: Database, ledger: PostgresLedger, name: str) -> tuple[int, ...]:
    """The same by each who asks: the first decision, a reservation, the next one, the record."""
    call = a_call_of(name)
    stored = await known_routes(database, call)
    first = len((await open_call(ledger, call)).past_calls)
    other = a_call_of(f"{name}-next", caller=from_number(9))
    async with database.connection() as connection:
        caller = VAULT.hash(call.caller.number)
        rows = await connection.fetch(
            query("rerouting_material"), [other.call_id], [1], [call.received_at], [caller]
        )
        assert await ledger.finish(a_finish(call, None)) == Finished()
        record = await connection.fetchval(
            f"select routes from ({query('read_call')}) as r", call.call_id
        )
    again = rows[0]["routes"]
    return stored, first, _count(again), _count(record)


def _count(routes: str | None) -> int:
    return 0 if routes is None else routes.count("acme-auto")


@pytest.mark.parametrize("fetched", [False, True])
async def test_a_lost_late_route_is_one_of_its_caller_only_if_its_switch_came_for_it(
    database: Database, ledger: PostgresLedger, fetched: bool
) -> None:
    call = a_call_of("late")
    await route(ledger, call, **LATE)
    if fetched:
        assert isinstance(await ledger.open(an_opening(call)), AlreadyDecided)
    await rewind(database, LEASE_OVER, [call.call_id])
    assert await Sweeper(database).sweep() == 1
    assert await past_of(database, ledger, "other") == ((1,) * 4 if fetched else (0,) * 4)


async def test_a_lost_late_route_is_none_while_its_call_is_decided_anew(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_call_of("late")
    await route(ledger, call, **LATE)
    await rewind(database, LEASE_OVER, [call.call_id])
    assert await Sweeper(database).sweep() == 1
    again = await ledger.open(an_opening(call))
    assert isinstance(again, Opened)
    assert await past_of(database, ledger, "meanwhile") == (0,) * 4
    assert await ledger.finish(a_finish(call, None, epoch=again.epoch)) == Finished()
    assert await past_of(database, ledger, "after") == (0,) * 4


async def test_a_lost_route_that_was_in_time_is_one_of_its_caller(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_call_of("in-time")
    await route(ledger, call)
    await rewind(database, LEASE_OVER, [call.call_id])
    assert await Sweeper(database).sweep() == 1
    assert await past_of(database, ledger, "other") == (1,) * 4
