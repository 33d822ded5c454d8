"""Leases that end: what is held comes back once, whoever sweeps and whatever is reported later."""

import asyncio
from decimal import Decimal

import pytest
import pytest_asyncio

from auction.domain.conversions import Side
from auction.domain.ids import CallId
from auction.domain.opening import AlreadyDecided, Opened
from auction.domain.reserving import Reserved, Superseded
from auction.domain.switch_events import EventResult, EventType
from auction.domain.usage import NOTHING, Usage
from storage.database import Database
from storage.events import CallEvents
from storage.ledger import PostgresLedger
from storage.sweeper import Sweeper
from tests.eventually import eventually
from tests.ledger_steps import (
    CLAIM_OVER,
    LEASE_OVER,
    LOCK_OWNER,
    OFFER_OWNER,
    a_candidate,
    a_finish,
    a_ledger,
    a_recent_call,
    a_request,
    an_event,
    an_opening,
    assert_balanced,
    open_call,
    reserve,
    rewind,
    route,
    today,
    usage_of,
)


@pytest_asyncio.fixture
async def ledger(database: Database) -> PostgresLedger:
    return a_ledger(database)


@pytest_asyncio.fixture
async def events(database: Database) -> CallEvents:
    return CallEvents(database, lambda _: None)


async def state(database: Database, call_id: str) -> tuple[str, str]:
    """The call's state and its reservation's."""
    async with database.connection() as connection:
        row = await connection.fetchrow(
            "select c.state as call, r.state as hold from calls c join reservations r "
            "using (call_id) where call_id = $1",
            call_id,
        )
    assert row is not None
    return row["call"], row["hold"]


async def test_a_lease_that_runs_is_left_alone(database: Database, ledger: PostgresLedger) -> None:
    await route(ledger, a_recent_call())
    assert await Sweeper(database).sweep() == 0
    assert (await usage_of(database)).live == 1


async def test_a_route_of_which_nothing_was_heard_gives_everything_back(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    await route(ledger, call)
    await rewind(database, LEASE_OVER, [call.call_id])
    assert await Sweeper(database).sweep() == 1
    usage = await usage_of(database)
    assert usage.live == 0
    assert today(usage) == (NOTHING, NOTHING)
    assert await state(database, "call-1") == ("lost", "lost")
    assert await Sweeper(database).sweep() == 0


async def test_an_answered_call_without_an_end_gives_its_slot_back(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    call = a_recent_call()
    await route(ledger, call)
    await events.record(an_event(call, EventType.ANSWERED, 5))
    await rewind(database, LEASE_OVER, [call.call_id])
    assert await Sweeper(database).sweep() == 1
    usage = await usage_of(database)
    assert usage.live == 0
    assert today(usage) == ((1, 1, 1, 520_000), NOTHING)
    assert await state(database, "call-1") == ("lost", "lost")


async def test_an_answer_prolongs_the_lease_and_the_sweeper_finds_out(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    call = a_recent_call()
    await route(ledger, call, answered_lease_ms=3_600_000)
    await events.record(an_event(call, EventType.ANSWERED, 5))
    async with database.connection() as connection:
        await connection.execute("update reservations set sweep_at = now()")
    assert await Sweeper(database).sweep() == 0
    assert (await usage_of(database)).live == 1
    async with database.connection() as connection:
        assert await connection.fetchval("select sweep_at = lease_until from reservations")


async def test_a_late_end_settles_what_is_left_and_releases_nothing_again(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    call = a_recent_call()
    await route(ledger, call)
    await rewind(database, LEASE_OVER, [call.call_id])
    await Sweeper(database).sweep()
    ended = an_event(call, EventType.ENDED, 128, connected_duration_s=Decimal(120))
    assert await events.record(ended) is EventResult.APPLIED
    usage = await usage_of(database)
    assert usage.live == 0
    assert today(usage) == (NOTHING, NOTHING)
    assert await state(database, "call-1") == ("ended", "ended")
    async with database.connection() as connection:
        assert await connection.fetchval("select amount from conversions") == Decimal("52.00")


async def test_the_hold_of_a_decider_that_died_is_released_after_its_lease(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    await reserve(ledger, call)
    await rewind(database, LEASE_OVER, [call.call_id])
    assert await Sweeper(database).sweep() == 0, "it may still be deciding"
    await rewind(database, CLAIM_OVER, [call.call_id])
    await rewind(database, LEASE_OVER, [call.call_id])
    assert await Sweeper(database).sweep() == 1
    assert await usage_of(database) != Usage()
    assert (await usage_of(database)).live == 0
    assert await state(database, "call-1") == ("deciding", "released")


async def test_a_decider_whose_hold_was_swept_can_not_finish(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    await reserve(ledger, call)
    await rewind(database, CLAIM_OVER, [call.call_id])
    await rewind(database, LEASE_OVER, [call.call_id])
    await Sweeper(database).sweep()
    assert await ledger.finish(a_finish(call, a_candidate())) == Superseded(None)
    assert await ledger.reserve(a_request(call)) == Superseded(None)
    taken = await ledger.open(an_opening(call))
    assert isinstance(taken, Opened)
    assert taken.plan is not None
    assert taken.plan.position == 0
    again = a_request(call, *taken.plan.candidates, epoch=taken.epoch)
    assert await ledger.reserve(again) == Reserved(0)
    assert (await usage_of(database)).live == 1


async def test_an_end_that_tells_nothing_of_an_answer_is_settled_by_the_sweeper(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    call = a_recent_call()
    await route(ledger, call)
    await events.record(an_event(call, EventType.ENDED, 30))
    assert (await usage_of(database)).live == 0
    assert today(await usage_of(database)) == ((1, 0, 0, 0), (0, 1, 1, 520_000))
    await rewind(database, LEASE_OVER, [call.call_id])
    assert await Sweeper(database).sweep() == 1
    assert today(await usage_of(database)) == ((1, 0, 0, 0), NOTHING)
    assert await state(database, "call-1") == ("ended", "ended")


BROKEN_TERMS = "update reservations set terms = '{}' where call_id = $1"


async def test_a_call_that_can_not_be_swept_keeps_nobody_elses_slot(
    database: Database, ledger: PostgresLedger, caplog: pytest.LogCaptureFixture
) -> None:
    calls = [a_recent_call(f"call-{number}") for number in range(5)]
    for call in calls:
        await route(ledger, call)
    await rewind(database, LEASE_OVER, [call.call_id for call in calls])
    async with database.connection() as connection:
        await connection.execute(BROKEN_TERMS, "call-2")
    assert await Sweeper(database, batch=3).sweep() == 4
    assert (await usage_of(database)).live == 1
    assert [getattr(each, "call_id", None) for each in caplog.records].count("call-2") == 1
    assert await Sweeper(database).sweep() == 0
    async with database.connection() as connection:
        left = await connection.fetch("select call_id from reservations where sweep_at > now()")
    assert [row["call_id"] for row in left] == ["call-2"], "it is looked at again in a minute"


async def test_a_call_that_somebody_keeps_locked_by_its_owner_keeps_nobody_elses_slot(
    database: Database, ledger: PostgresLedger
) -> None:
    await route(ledger, a_recent_call("stuck"))
    await route(ledger, a_recent_call("free"), a_candidate("other", buyer="other"))
    await rewind(database, LEASE_OVER, [CallId("stuck"), CallId("free")])
    async with database.transaction() as connection:
        await connection.execute(LOCK_OWNER, OFFER_OWNER)
        assert await Sweeper(database).sweep() == 1
    assert await Sweeper(database).sweep() == 1


async def test_a_call_earns_once_whatever_its_attempts(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    call = a_recent_call()
    earned: list[tuple[Side, Decimal]] = []
    await route(ledger, call)
    await events.record(an_event(call, EventType.ANSWERED, 5))
    async with database.connection() as connection:
        await connection.execute(
            "update reservations set converted_at = null, "
            "terms = jsonb_set(terms::jsonb, '{rules,0,0}', '\"answered\"')::json"
        )
    await rewind(database, LEASE_OVER, [call.call_id])
    sweeper = Sweeper(database, on_earned=lambda _, __, *each: earned.append(each))
    assert await sweeper.sweep() == 1
    assert earned == []
    async with database.connection() as connection:
        assert await connection.fetchval("select count(*) from conversions") == 1


async def test_a_late_route_that_was_taken_after_all_is_not_decided_anew(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    call = a_recent_call()
    await route(ledger, call, late=True, answer=b"late")
    await rewind(database, LEASE_OVER, [call.call_id])
    assert await Sweeper(database).sweep() == 1
    answered = an_event(call, EventType.ANSWERED, 5)
    assert await events.record(answered) is EventResult.APPLIED
    assert await ledger.open(an_opening(call)) == AlreadyDecided(b"late")
    ended = an_event(call, EventType.ENDED, 65, connected_duration_s=Decimal(60))
    assert await events.record(ended) is EventResult.APPLIED
    assert await ledger.open(an_opening(call)) == AlreadyDecided(b"late")
    await route(ledger, a_recent_call("next"))
    await rewind(database, LEASE_OVER, [call.call_id, CallId("next")])
    assert await Sweeper(database).sweep() == 1
    await assert_balanced(database)


async def test_a_call_decided_anew_keeps_nothing_of_the_decision_before(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    await route(ledger, call, late=True)
    await rewind(database, LEASE_OVER, [call.call_id])
    await Sweeper(database).sweep()
    await open_call(ledger, call)
    async with database.connection() as connection:
        row = await connection.fetchrow(
            "select routed_by, offer, buyer, price, currency, answered_at, ended_at, "
            "total_duration_s, connected_duration_s, ended_by, answer from calls"
        )
    assert row is not None
    assert set(row.values()) == {None}


async def test_many_sweepers_release_each_hold_once(dsn: str, database: Database) -> None:
    ledger = a_ledger(database)
    calls = [a_recent_call(f"call-{number}") for number in range(60)]
    await asyncio.gather(*(route(ledger, call) for call in calls))
    await rewind(database, LEASE_OVER, [call.call_id for call in calls[:50]])
    databases = [await Database.connect(dsn, max_size=2) for _ in range(4)]
    sweepers = [Sweeper(each, batch=7) for each in databases]
    released = 0
    while sum(done := await asyncio.gather(*(each.sweep() for each in sweepers))):
        released += sum(done)
    assert released == 50
    assert (await usage_of(database)).live == 10
    await assert_balanced(database)
    for each in databases:
        await each.close()


async def test_a_sweep_and_an_end_at_once_release_the_slot_once(
    dsn: str, database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    far = await Database.connect(dsn)
    sweeper = Sweeper(far)
    for number in range(20):
        call = a_recent_call(f"call-{number}")
        await route(ledger, call)
        await rewind(database, LEASE_OVER, [call.call_id])
        ended = an_event(call, EventType.ENDED, 60, connected_duration_s=Decimal(50))
        await asyncio.gather(events.record(ended), sweeper.sweep())
    await sweeper.sweep()
    assert (await usage_of(database)).live == 0
    await assert_balanced(database)
    await far.close()


async def test_it_goes_on_sweeping_by_itself_whatever_happens(
    database: Database, ledger: PostgresLedger
) -> None:
    seen: list[object] = []

    def see(usage: object) -> None:
        seen.append(usage)
        if len(seen) == 1:
            raise ValueError("a bug of a listener")

    running = asyncio.create_task(Sweeper(database, see).run(every_s=0.01))

    async def released() -> bool:
        return (await usage_of(database)).live == 0

    for number in range(2):
        call = a_recent_call(f"call-{number}")
        await route(ledger, call)
        await rewind(database, LEASE_OVER, [call.call_id])
        await eventually(released)
    await eventually(lambda: len(seen) == 2)
    running.cancel()
    await asyncio.wait([running])
