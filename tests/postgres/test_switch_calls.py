"""The calls that a switch says it still has: what it lacks is closed, and nothing else."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest_asyncio

from auction.domain.call import Call
from auction.domain.conversions import Side
from auction.domain.ids import BuyerId, CallId
from auction.domain.next_attempt import FailReason, NextRequest
from auction.domain.switch_events import EventResult, EventType
from auction.domain.terms import ConversionRule, Subscriber, Trigger, WebhookEvent
from auction.domain.usage import NOTHING
from storage.database import Database
from storage.events import CallEvents
from storage.ledger import PostgresLedger
from storage.outbox import Outbox
from storage.sweeper import Sweeper
from storage.switch_calls import SwitchCalls
from tests.ledger_steps import (
    LEASE_OVER,
    LOCK_CALL,
    OFFER_OWNER,
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

SWITCH = "switch-1"
NOBODY: frozenset[CallId] = frozenset()
POSTBACK_LATER = ConversionRule(Trigger.POSTBACK)
ROUTED_BEFORE = """
    update reservations set routed_at = routed_at - interval '31 seconds',
        lease_until = lease_until - interval '31 seconds'
    where call_id = any($1)
"""


@pytest_asyncio.fixture
async def ledger(database: Database) -> PostgresLedger:
    return a_ledger(database)


@pytest_asyncio.fixture
async def events(database: Database) -> CallEvents:
    return CallEvents(database, lambda _: None)


@pytest_asyncio.fixture
async def switch_calls(database: Database) -> SwitchCalls:
    return SwitchCalls(database)


def listed(*call_ids: str) -> frozenset[CallId]:
    return frozenset(map(CallId, call_ids))


async def an_old_call(
    database: Database, ledger: PostgresLedger, call_id: str = "call-1", **changes: Any
) -> Call:
    """A call of the switch that was routed a while ago."""
    candidate = changes.pop("candidate", None)
    call = a_recent_call(call_id, **{"switch": SWITCH, **changes})
    await route(ledger, call, candidate)
    await rewind(database, ROUTED_BEFORE, [call.call_id])
    return call


async def states(database: Database) -> dict[str, str]:
    async with database.connection() as connection:
        rows = await connection.fetch("select call_id, state from calls")
    return {row["call_id"]: row["state"] for row in rows}


async def in_states(database: Database, call_ids: Iterable[str]) -> set[str]:
    found = await states(database)
    return {found[call_id] for call_id in call_ids}


async def test_a_call_that_the_switch_lacks_is_lost_and_its_slot_free(
    database: Database, ledger: PostgresLedger, switch_calls: SwitchCalls
) -> None:
    await an_old_call(database, ledger)
    await an_old_call(database, ledger, "call-2")
    compared = await switch_calls.compare(SWITCH, datetime.now(UTC), listed("call-2", "unknown"))
    assert (compared.closed, compared.live) == (["call-1"], 1)
    assert await states(database) == {"call-1": "lost", "call-2": "routed"}
    assert (await usage_of(database)).live == 1
    assert today(await usage_of(database)) == ((1, 0, 0, 0), (0, 1, 1, 520_000))
    await assert_balanced(database)


async def test_what_was_routed_less_than_30_s_before_the_list_may_be_missing_in_it(
    database: Database, ledger: PostgresLedger, switch_calls: SwitchCalls
) -> None:
    call = a_recent_call(switch=SWITCH)
    await route(ledger, call)
    async with database.connection() as connection:
        routed_at = await connection.fetchval("select routed_at from reservations")
    grace = timedelta(seconds=30)
    early = await switch_calls.compare(
        SWITCH, routed_at + grace - timedelta(microseconds=1), NOBODY
    )
    assert (early.closed, early.live) == ([], 1)
    due = await switch_calls.compare(SWITCH, routed_at + grace, NOBODY)
    assert (due.closed, due.live) == (["call-1"], 0)


async def test_calls_of_other_switches_and_of_none_are_not_touched(
    database: Database, ledger: PostgresLedger, switch_calls: SwitchCalls
) -> None:
    await an_old_call(database, ledger, "call-1", switch="switch-2")
    await an_old_call(database, ledger, "call-2", switch=None)
    compared = await switch_calls.compare(SWITCH, datetime.now(UTC), NOBODY)
    assert (compared.closed, compared.live) == ([], 0)
    assert await in_states(database, ["call-1", "call-2"]) == {"routed"}


async def test_calls_that_are_decided_late_rerouted_or_over_are_not_the_switchs_to_miss(
    database: Database,
    ledger: PostgresLedger,
    events: CallEvents,
    switch_calls: SwitchCalls,
) -> None:
    await reserve(ledger, a_recent_call("deciding", switch=SWITCH), a_candidate())
    await route(ledger, a_recent_call("late", switch=SWITCH), late=True)
    rerouting = await an_old_call(database, ledger, "rerouting")
    await ledger.open_next(NextRequest(rerouting.call_id, 1, FailReason.BUSY, b"next", 10_000))
    over = await an_old_call(
        database, ledger, "ended", candidate=a_candidate(conversions=(POSTBACK_LATER,))
    )
    await events.record(an_event(over, EventType.ENDED, 60, connected_duration_s=Decimal(50)))
    await rewind(database, ROUTED_BEFORE, [CallId("late"), CallId("ended")])
    before = await states(database)
    compared = await switch_calls.compare(SWITCH, datetime.now(UTC), NOBODY)
    assert (compared.closed, compared.live) == ([], 0)
    assert await states(database) == before
    assert sorted(before.values()) == ["deciding", "ended", "late", "rerouting"]


async def test_a_late_decision_counts_from_when_the_switch_fetched_it(
    database: Database, ledger: PostgresLedger, switch_calls: SwitchCalls
) -> None:
    call = await an_old_call(database, ledger)
    # fetched half a minute after it was stored: that gave it the lease of a fresh route
    await rewind(
        database,
        "update reservations set lease_until = now() + collected_lease_ms * interval '1 ms' "
        "where call_id = any($1)",
        [call.call_id],
    )
    now = datetime.now(UTC)
    assert (await switch_calls.compare(SWITCH, now, NOBODY)).closed == []
    later = now + timedelta(seconds=31)
    assert (await switch_calls.compare(SWITCH, later, NOBODY)).closed == ["call-1"]


async def test_an_answered_call_is_settled_by_what_is_known_of_it(
    database: Database, ledger: PostgresLedger, events: CallEvents, switch_calls: SwitchCalls
) -> None:
    timer = ConversionRule(Trigger.TIMER, 90, Decimal(60))
    rules = (timer, ConversionRule(Trigger.ANSWERED, amount=Decimal(20)))
    call = await an_old_call(database, ledger, candidate=a_candidate(conversions=rules))
    await events.record(an_event(call, EventType.ANSWERED, 8))
    earned: list[tuple[Side, Decimal]] = []
    seen: list[Any] = []
    hook = Subscriber("buyer:acme", "w-1", frozenset(WebhookEvent))

    def subscribers(_: object, __: BuyerId | None) -> Sequence[Subscriber]:
        return [hook]

    telling = SwitchCalls(
        database,
        seen.append,
        on_earned=lambda _, __, *each: earned.append(each),
        outbox=Outbox(subscribers),
    )
    compared = await telling.compare(SWITCH, datetime.now(UTC), NOBODY)
    assert compared.closed == ["call-1"]
    async with database.connection() as connection:
        entry = await connection.fetchrow("select * from conversion_entries")
        told = await connection.fetchval("select event from webhook_deliveries")
    assert entry is not None
    assert (entry["trigger"], entry["amount"], entry["actor"]) == (
        "answered",
        Decimal(20),
        "switch:switch-1",
    )
    assert (earned, told) == ([(Side.BUYER, Decimal(20))], "call.converted")
    assert seen[-1][OFFER_OWNER].live == 0
    assert today(await usage_of(database)) == ((1, 1, 1, 200_000), NOTHING)


async def test_an_end_that_comes_after_all_still_settles(
    database: Database, ledger: PostgresLedger, events: CallEvents, switch_calls: SwitchCalls
) -> None:
    call = await an_old_call(database, ledger)
    await switch_calls.compare(SWITCH, datetime.now(UTC), NOBODY)
    ended = an_event(call, EventType.ENDED, 60, connected_duration_s=Decimal(50))
    assert await events.record(ended) is EventResult.APPLIED
    assert await states(database) == {"call-1": "ended"}
    async with database.connection() as connection:
        assert await connection.fetchval("select amount from conversions") == 52
    assert (await usage_of(database)).live == 0
    await assert_balanced(database)


async def test_a_list_and_the_ends_of_its_calls_at_once_free_each_slot_once(
    dsn: str, database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    far = await Database.connect(dsn)
    workers = [SwitchCalls(each, slice_size=3) for each in (database, far)]
    calls = [await an_old_call(database, ledger, f"call-{number:02}") for number in range(20)]
    await rewind(database, LEASE_OVER, [call.call_id for call in calls[:5]])
    ends = [an_event(c, EventType.ENDED, 9, connected_duration_s=Decimal(5)) for c in calls]
    lists = [worker.compare(SWITCH, datetime.now(UTC), NOBODY) for worker in workers]
    compared, results, _ = await asyncio.gather(
        asyncio.gather(*lists),
        asyncio.gather(*map(events.record, ends)),
        Sweeper(database).sweep(),
    )
    assert set(results) == {EventResult.APPLIED}
    first, second = (set(each.closed) for each in compared)
    assert not first & second
    assert await in_states(database, (call.call_id for call in calls)) == {"ended"}
    assert (await usage_of(database)).live == 0
    await assert_balanced(database)
    await far.close()


async def test_a_long_list_is_compared_slice_by_slice(
    database: Database, ledger: PostgresLedger
) -> None:
    calls = [await an_old_call(database, ledger, f"call-{number:02}") for number in range(12)]
    kept = listed(*(call.call_id for call in calls[::3]))
    switch_calls = SwitchCalls(database, slice_size=3)
    compared = await switch_calls.compare(SWITCH, datetime.now(UTC), kept)
    assert sorted(compared.closed) == sorted({call.call_id for call in calls} - kept)
    assert compared.live == len(kept) == (await usage_of(database)).live


async def test_a_call_that_somebody_keeps_locked_is_left_to_the_next_list(
    dsn: str, database: Database, ledger: PostgresLedger, switch_calls: SwitchCalls
) -> None:
    for number in (1, 2):
        await an_old_call(database, ledger, f"call-{number}")
    stuck = await asyncpg.connect(dsn)
    async with stuck.transaction():
        await stuck.execute(LOCK_CALL, "call-1")
        compared = await switch_calls.compare(SWITCH, datetime.now(UTC), NOBODY)
        assert (compared.closed, compared.live) == (["call-2"], 1)
    await stuck.close()
    again = await switch_calls.compare(SWITCH, datetime.now(UTC), NOBODY)
    assert (again.closed, again.live) == (["call-1"], 0)


async def test_a_call_that_was_routed_again_meanwhile_is_not_closed(
    database: Database, ledger: PostgresLedger, switch_calls: SwitchCalls
) -> None:
    call = await an_old_call(database, ledger)
    closing = switch_calls._close_locked(SWITCH, {call.call_id: 2})
    assert (await closing).call_ids == set()
    assert await states(database) == {"call-1": "routed"}


async def test_a_list_from_before_the_calls_closes_none(
    database: Database, ledger: PostgresLedger, switch_calls: SwitchCalls
) -> None:
    await an_old_call(database, ledger)
    long_ago = datetime(1999, 1, 1, tzinfo=UTC)
    assert (await switch_calls.compare(SWITCH, long_ago, NOBODY)).closed == []
