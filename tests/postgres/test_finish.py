"""Storing decisions: durable, once, and only by the decider whose turn it is."""

import asyncio
from decimal import Decimal

import asyncpg
import pytest
import pytest_asyncio

from auction.domain.finishing import Finished
from auction.domain.ids import OfferId, offer_owner
from auction.domain.opening import AlreadyDecided, Opened
from auction.domain.reserving import NothingFits, Reserved, Superseded
from auction.domain.usage import NOTHING, Usage
from auction.ports import InvariantViolatedError, StorageUnavailableError
from storage.database import Database
from storage.ledger import PostgresLedger
from tests.ledger_steps import (
    CLAIM_OVER,
    LOCK_CALL,
    LOCK_OWNER,
    a_candidate,
    a_finish,
    a_ledger,
    a_recent_call,
    a_request,
    all_usage,
    an_opening,
    assert_balanced,
    open_call,
    reserve,
    rewind,
    today,
    usage_of,
)
from tests.lost_commits import LosingLink


@pytest_asyncio.fixture
async def ledger(database: Database) -> PostgresLedger:
    return a_ledger(database)


async def stored(database: Database, table: str = "calls") -> asyncpg.Record:
    async with database.connection() as connection:
        row = await connection.fetchrow(f"select *, now() as now from {table}")
    assert row is not None
    return row


async def test_a_route_is_stored_with_its_answer_trace_and_lease(
    database: Database, ledger: PostgresLedger
) -> None:
    call, candidate = a_recent_call(), a_candidate()
    await reserve(ledger, call, candidate)
    finish = a_finish(call, candidate, answer=b"go", trace=b"why", lease_ms=85_000)
    assert await ledger.finish(finish) == Finished()
    row = await stored(database)
    assert (row["state"], row["answer"], row["price"]) == ("routed", b"go", Decimal("52.00"))
    assert (row["offer"], row["buyer"], row["routed_by"]) == ("acme-auto", "acme", "auction")
    assert (await stored(database, "traces"))["trace"] == b"why"
    hold = await stored(database, "reservations")
    assert hold["state"] == "routed"
    assert 80 < (hold["lease_until"] - hold["now"]).total_seconds() <= 85
    assert hold["sweep_at"] <= hold["lease_until"]
    assert (await usage_of(database)).live == 1


async def test_a_shorter_lease_is_swept_in_time(database: Database, ledger: PostgresLedger) -> None:
    call, candidate = a_recent_call(), a_candidate()
    await reserve(ledger, call, candidate)
    await ledger.finish(a_finish(call, candidate, late=True, lease_ms=5_000))
    hold = await stored(database, "reservations")
    assert hold["sweep_at"] == hold["lease_until"]
    assert (await stored(database))["state"] == "late"


async def test_no_route_is_stored_with_its_reason(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    await open_call(ledger, call)
    assert await ledger.finish(a_finish(call, None, answer=b"nowhere")) == Finished()
    row = await stored(database)
    assert (row["state"], row["reason"], row["offer"]) == ("no_route", "no_eligible_offer", None)
    assert await ledger.open(an_opening(call)) == AlreadyDecided(b"nowhere")


async def test_no_route_gives_back_what_is_held(database: Database, ledger: PostgresLedger) -> None:
    call, other = a_recent_call(), a_recent_call("other")
    await asyncio.gather(reserve(ledger, call), open_call(ledger, other))
    finishes = (a_finish(call, None), a_finish(other, None))
    results = await asyncio.gather(*(ledger.finish(finish) for finish in finishes))
    assert results == [Finished(), Finished()]
    assert (await usage_of(database)).live == 0
    assert today(await usage_of(database)) == (NOTHING, NOTHING)
    assert (await stored(database, "reservations"))["state"] == "released"


async def test_a_superseded_decider_gets_the_stored_answer(
    database: Database, ledger: PostgresLedger
) -> None:
    call, candidate = a_recent_call(), a_candidate()
    await reserve(ledger, call, candidate)
    await rewind(database, CLAIM_OVER, [call.call_id])
    taken = await ledger.open(an_opening(call))
    assert isinstance(taken, Opened)
    slow = a_finish(call, candidate, epoch=1, answer=b"slow")
    assert await ledger.finish(slow) == Superseded(None)
    quick = a_finish(call, candidate, epoch=taken.epoch, answer=b"quick")
    assert await ledger.finish(quick) == Finished()
    assert await ledger.finish(slow) == Superseded(b"quick")
    assert (await stored(database, "traces"))["trace"] == b"trace"


async def test_a_superseded_decider_gives_nothing_back(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    await reserve(ledger, call)
    await rewind(database, CLAIM_OVER, [call.call_id])
    await ledger.open(an_opening(call))
    assert await ledger.finish(a_finish(call, None, epoch=1)) == Superseded(None)
    assert (await usage_of(database)).live == 1


async def test_of_two_decisions_for_a_call_the_first_stands(ledger: PostgresLedger) -> None:
    call, candidate = a_recent_call(), a_candidate()
    await reserve(ledger, call, candidate)
    first = a_finish(call, candidate, answer=b"first")
    second = a_finish(call, candidate, answer=b"second")
    results = list(await asyncio.gather(ledger.finish(first), ledger.finish(second)))
    assert results == [Finished(), Superseded(b"first")]
    assert await ledger.finish(second) == Superseded(b"first")


async def test_a_decision_whose_commit_nobody_heard_of_is_found_stored(
    dsn: str, database: Database
) -> None:
    link = LosingLink(dsn)
    near, far = a_ledger(database), await Database.connect(await link.start(), max_size=1)
    call = a_recent_call()
    await reserve(near, call)
    # A statement on its own is committed with the message that brings its arguments.
    link.lose_reply_to(b"the answer")
    finish = a_finish(call, a_candidate(), answer=b"the answer")
    with pytest.raises(StorageUnavailableError):
        await a_ledger(far).finish(finish)
    assert link.lost == 1
    assert await near.open(an_opening(call)) == AlreadyDecided(b"the answer")
    assert await near.finish(finish) == Superseded(b"the answer")
    await far.close()
    await link.stop()


async def test_a_route_without_its_hold_is_never_stored(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    await open_call(ledger, call)
    with pytest.raises(InvariantViolatedError):
        await ledger.finish(a_finish(call, a_candidate()))
    await ledger.reserve(a_request(call, a_candidate("other")))
    with pytest.raises(InvariantViolatedError):
        await ledger.finish(a_finish(call, a_candidate()))
    assert (await stored(database))["state"] == "deciding"
    assert await ledger.finish(a_finish(call, a_candidate("other"))) == Finished()


async def test_a_decision_that_can_not_be_stored_fails_alone(
    database: Database, ledger: PostgresLedger
) -> None:
    calls = [a_recent_call(f"call-{number}") for number in range(5)]
    await asyncio.gather(*(reserve(ledger, call) for call in calls))
    finishes = [a_finish(call, a_candidate()) for call in calls]
    finishes[1] = a_finish(calls[1], None, reason="\0")
    results = await asyncio.gather(
        *(ledger.finish(finish) for finish in finishes), return_exceptions=True
    )
    assert isinstance(results.pop(1), asyncpg.PostgresError)
    assert results == [Finished()] * 4
    assert (await usage_of(database)).live == 5


async def test_a_test_calls_route_is_stored_without_any_usage(
    database: Database, ledger: PostgresLedger
) -> None:
    call, candidate = a_recent_call(test=True), a_candidate(owners=())
    await reserve(ledger, call, candidate)
    assert await ledger.finish(a_finish(call, candidate)) == Finished()
    assert (await stored(database))["test"] is True
    assert await all_usage(database) == {}


async def test_after_many_decisions_usage_is_what_reservations_hold(
    database: Database, ledger: PostgresLedger
) -> None:
    async def decide(number: int) -> None:
        call, plan = a_recent_call(f"call-{number}"), [a_candidate("one"), a_candidate("two")]
        await open_call(ledger, call)
        reserved = await ledger.reserve(a_request(call, *plan))
        assert isinstance(reserved, Reserved)
        if number % 3 == 0:
            reserved = await ledger.reserve(a_request(call, plan[1]))
        if number % 5 == 0:
            assert await ledger.reserve(a_request(call, plan[1], start=1)) == NothingFits()
        won = None if number % 5 == 0 else plan[1 if number % 3 == 0 else 0]
        assert await ledger.finish(a_finish(call, won)) == Finished()

    await asyncio.gather(*(decide(number) for number in range(60)))
    usage = await assert_balanced(database)
    assert sum(each.live for each in usage.values()) == 2 * 48
    assert usage[offer_owner(OfferId("one"))] != Usage()


async def test_decisions_of_locked_calls_fail_alone(
    database: Database, ledger: PostgresLedger
) -> None:
    calls = [a_recent_call(f"call-{number}") for number in range(6)]
    for call in calls:
        await reserve(ledger, call)
    finishes = [
        a_finish(call, a_candidate() if number % 2 else None) for number, call in enumerate(calls)
    ]
    async with database.transaction() as connection:
        for call_id in ("call-2", "call-3"):
            await connection.execute(LOCK_CALL, call_id)
        results = await asyncio.gather(*map(ledger.finish, finishes), return_exceptions=True)
    failed = [isinstance(result, StorageUnavailableError) for result in results]
    assert failed == [False, False, True, True, False, False]
    assert await ledger.finish(finishes[2]) == Finished()
    assert await ledger.finish(finishes[3]) == Finished()
    assert (await usage_of(database)).live == 3
    await assert_balanced(database)


@pytest.mark.parametrize("trouble", ["locked", "broken"])
async def test_a_decision_that_is_stored_stands_whatever_giving_back_comes_to(
    database: Database, ledger: PostgresLedger, trouble: str
) -> None:
    calls = [a_recent_call(f"call-{number}") for number in range(4)]
    for call in calls:
        await reserve(ledger, call, a_candidate(f"offer-{call.call_id}"))
    finishes = [
        a_finish(call, a_candidate(f"offer-{call.call_id}") if number < 2 else None)
        for number, call in enumerate(calls)
    ]
    async with database.connection() as connection:
        if trouble == "broken":
            await connection.execute(
                "update reservations set terms = '{\"owners\": []}' where call_id = 'call-3'"
            )
    async with database.transaction() as connection:
        if trouble == "locked":
            await connection.execute(LOCK_OWNER, "offer:offer-call-3")
        results = await asyncio.gather(*map(ledger.finish, finishes), return_exceptions=True)
    assert results[:3] == [Finished()] * 3
    assert isinstance(results[3], StorageUnavailableError if trouble == "locked" else KeyError)
