"""Holding capacity: what fits, what it holds, and repeats that change nothing."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import asyncpg
import pytest
import pytest_asyncio

from auction.domain.call import Caller
from auction.domain.ids import OfferId, offer_owner
from auction.domain.opening import Opened
from auction.domain.plan import Candidate
from auction.domain.reasons import Reason
from auction.domain.reserving import NothingFits, Reserved, ReserveRequest, Superseded
from auction.domain.terms import (
    Cap,
    DuplicateAfter,
    DuplicateRule,
    DuplicateScope,
    Measure,
    Period,
)
from auction.domain.usage import NOTHING, Usage
from auction.ports import StorageUnavailableError
from storage.database import Database
from storage.ledger import PostgresLedger
from tests.ledger_steps import (
    BUYER_OWNER,
    CLAIM_OVER,
    LOCK_CALL,
    LOCK_OWNER,
    OFFER_OWNER,
    VAULT,
    a_candidate,
    a_finish,
    a_ledger,
    a_recent_call,
    a_request,
    all_usage,
    an_opening,
    assert_balanced,
    daily_calls,
    from_number,
    limits,
    open_call,
    reserve,
    rewind,
    route,
    today,
    usage_of,
)
from tests.lost_commits import LosingLink

ONE_CALL = limits(OFFER_OWNER, daily_calls(1))
NO_REPEATS = DuplicateRule(30, DuplicateAfter.ROUTED, DuplicateScope.BUYER)

FULL_OWNER = offer_owner(OfferId("full"))


@pytest_asyncio.fixture
async def ledger(database: Database) -> PostgresLedger:
    return a_ledger(database)


@pytest_asyncio.fixture
async def link(dsn: str) -> AsyncIterator[LosingLink]:
    link = LosingLink(dsn)
    yield link
    await link.stop()


async def test_a_reservation_holds_under_the_offer_and_its_buyer(
    database: Database, ledger: PostgresLedger
) -> None:
    await reserve(ledger, a_recent_call())
    for owner in (OFFER_OWNER, BUYER_OWNER):
        usage = await usage_of(database, owner)
        assert usage.live == 1
        assert [period.current.used for period in usage.periods] == [(1, 0, 0, 0)] * 4
        assert [period.current.pending for period in usage.periods] == [(0, 1, 1, 520_000)] * 4


@pytest.mark.parametrize("cap", [*Measure], ids=lambda measure: measure.name.lower())
@pytest.mark.parametrize("period", [*Period], ids=lambda period: period.name.lower())
async def test_a_cap_refuses_the_call_that_would_pass_it(
    ledger: PostgresLedger, cap: Measure, period: Period
) -> None:
    unit = a_candidate().units[cap]
    tight = a_candidate(buyer_limits=limits(BUYER_OWNER, Cap(cap, period, 2 * unit)))
    calls = [a_recent_call(f"call-{number}") for number in range(3)]
    for call in calls:
        await open_call(ledger, call)
    results = [await ledger.reserve(a_request(call, tight)) for call in calls]
    assert results == [Reserved(0), Reserved(0), NothingFits(((0, Reason.CAP_REACHED),))]


async def test_concurrency_refuses_the_call_that_would_pass_it(ledger: PostgresLedger) -> None:
    single = a_candidate(offer_limits=limits(OFFER_OWNER, concurrency=1))
    await reserve(ledger, a_recent_call("first"), single)
    call = a_recent_call("second")
    await open_call(ledger, call)
    refused = NothingFits(((0, Reason.CONCURRENCY_FULL),))
    assert await ledger.reserve(a_request(call, single)) == refused


async def test_calls_of_one_batch_see_each_other(ledger: PostgresLedger) -> None:
    calls = [a_recent_call(f"call-{number}") for number in range(10)]
    await asyncio.gather(*(open_call(ledger, call) for call in calls))
    tight = a_candidate(offer_limits=limits(OFFER_OWNER, daily_calls(7)))
    results = await asyncio.gather(*(ledger.reserve(a_request(call, tight)) for call in calls))
    assert [isinstance(result, Reserved) for result in results] == [True] * 7 + [False] * 3


async def test_the_first_place_that_fits_is_taken_and_those_before_it_are_named(
    database: Database, ledger: PostgresLedger
) -> None:
    full = a_candidate(offer_limits=limits(OFFER_OWNER, daily_calls(0)))
    busy = a_candidate("busy", offer_limits=limits(offer_owner(OfferId("busy")), concurrency=0))
    free = a_candidate("free", buyer="other")
    call = a_recent_call()
    await open_call(ledger, call)
    reserved = await ledger.reserve(a_request(call, full, busy, free))
    refused = ((0, Reason.CAP_REACHED), (1, Reason.CONCURRENCY_FULL))
    assert reserved == Reserved(2, refused)
    assert {owner for owner, usage in (await all_usage(database)).items() if usage.live} == {
        "offer:free",
        "buyer:other",
    }


async def test_going_on_gives_back_what_the_attempt_held(
    database: Database, ledger: PostgresLedger
) -> None:
    call, first, second = a_recent_call(), a_candidate(), a_candidate("beacon", price="40.00")
    assert await reserve(ledger, call, first, second) == 0
    assert await ledger.reserve(a_request(call, second)) == Reserved(0)
    assert (await usage_of(database, OFFER_OWNER)).live == 0
    assert today(await usage_of(database, OFFER_OWNER)) == (NOTHING, NOTHING)
    assert (await usage_of(database, offer_owner(OfferId("beacon")))).live == 1
    assert (await usage_of(database, BUYER_OWNER)).live == 1
    assert today(await usage_of(database, BUYER_OWNER)) == ((1, 0, 0, 0), (0, 1, 1, 400_000))


async def test_the_slot_that_is_given_back_can_be_taken_by_the_same_call(
    ledger: PostgresLedger,
) -> None:
    """Two offers of one buyer with one slot: going from the first to the second needs no other."""
    slot = limits(BUYER_OWNER, daily_calls(1), concurrency=1)
    first, second = a_candidate(buyer_limits=slot), a_candidate("beacon", buyer_limits=slot)
    call = a_recent_call()
    await reserve(ledger, call, first, second)
    assert await ledger.reserve(a_request(call, second)) == Reserved(0)


async def test_when_nothing_else_fits_the_hold_is_given_back_all_the_same(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    await reserve(ledger, call)
    full = a_candidate("full", offer_limits=limits(offer_owner(OfferId("full")), daily_calls(0)))
    refused = NothingFits(((0, Reason.CAP_REACHED),))
    assert await ledger.reserve(a_request(call, full)) == refused
    assert (await usage_of(database, OFFER_OWNER)).live == 0
    assert today(await usage_of(database, OFFER_OWNER)) == (NOTHING, NOTHING)


async def test_an_empty_rest_of_the_plan_gives_the_hold_back(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    await reserve(ledger, call)
    assert await ledger.reserve(a_request(call, a_candidate(), start=1)) == NothingFits()
    assert (await usage_of(database, OFFER_OWNER)).live == 0


async def test_a_repeat_holds_nothing_more_and_gets_the_same_result(
    database: Database, ledger: PostgresLedger
) -> None:
    full = a_candidate("full", offer_limits=limits(offer_owner(OfferId("full")), daily_calls(0)))
    call = a_recent_call()
    await open_call(ledger, call)
    request = a_request(call, full, a_candidate())
    first = await ledger.reserve(request)
    before = await all_usage(database)
    assert first == Reserved(1, ((0, Reason.CAP_REACHED),))
    for repeat in await asyncio.gather(ledger.reserve(request), ledger.reserve(request)):
        assert repeat == first
    assert await all_usage(database) == before


async def test_a_repeat_gets_the_same_place_though_a_better_one_is_free_by_now(
    ledger: PostgresLedger,
) -> None:
    single = a_candidate(offer_limits=limits(OFFER_OWNER, concurrency=1))
    other, call = a_recent_call("other"), a_recent_call()
    await reserve(ledger, other, single)
    await open_call(ledger, call)
    request = a_request(call, single, a_candidate("second"))
    first = await ledger.reserve(request)
    assert first == Reserved(1, ((0, Reason.CONCURRENCY_FULL),))
    await ledger.finish(a_finish(other, None))
    assert await ledger.reserve(request) == first


async def test_a_repeat_after_a_commit_that_nobody_heard_of_holds_once(
    database: Database, link: LosingLink
) -> None:
    far = await Database.connect(await link.start(), max_size=2)
    ledger, call = a_ledger(far), a_recent_call()
    await open_call(ledger, call)
    link.lose_next_commit()
    with pytest.raises(StorageUnavailableError):
        await ledger.reserve(a_request(call))
    assert link.lost == 1
    assert (await usage_of(database)).live == 1
    assert await ledger.reserve(a_request(call)) == Reserved(0)
    assert (await usage_of(database)).live == 1
    await far.close()


async def test_a_decider_that_was_superseded_holds_nothing(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call()
    await open_call(ledger, call)
    await rewind(database, CLAIM_OVER, [call.call_id])
    assert isinstance(await ledger.open(an_opening(call)), Opened)
    assert await ledger.reserve(a_request(call, epoch=1)) == Superseded(None)
    assert await usage_of(database) == Usage()


async def test_a_decider_that_comes_after_the_decision_gets_the_answer(
    ledger: PostgresLedger,
) -> None:
    call = a_recent_call()
    await route(ledger, call, answer=b"stored")
    assert await ledger.reserve(a_request(call)) == Superseded(b"stored")


async def test_a_test_call_uses_no_cap(database: Database, ledger: PostgresLedger) -> None:
    call = a_recent_call(test=True)
    await reserve(ledger, call, a_candidate(owners=()))
    assert await all_usage(database) == {}


async def test_a_call_is_counted_in_the_window_of_its_arrival(
    database: Database, ledger: PostgresLedger
) -> None:
    arrived = datetime(2026, 11, 21, 4, 59, 59, 900_000, UTC)
    after_midnight = arrived + timedelta(seconds=1)
    one_a_day = a_candidate(offer_limits=ONE_CALL)
    calls = {
        name: a_recent_call(name, received_at=at)
        for name, at in (
            ("yesterday", arrived),
            ("today", after_midnight),
            ("yesterday too", arrived),
            ("today too", after_midnight),
        )
    }
    for call in calls.values():
        await open_call(ledger, call)
    taken = {
        name: isinstance(await ledger.reserve(a_request(call, one_a_day)), Reserved)
        for name, call in calls.items()
    }
    assert taken == {
        "yesterday": True,
        "today": True,
        "yesterday too": False,
        "today too": False,
    }
    days = (await usage_of(database)).periods[Period.DAY]
    assert (days.previous.used[0], days.current.used[0]) == (1, 1)


async def test_the_window_is_that_of_the_first_arrival_whoever_decides(
    database: Database, ledger: PostgresLedger
) -> None:
    call = a_recent_call(received_at=datetime(2026, 11, 21, 4, 59, 59, tzinfo=UTC))
    await open_call(ledger, call)
    later = replace(call, received_at=call.received_at + timedelta(seconds=5))
    assert await ledger.reserve(a_request(later)) == Reserved(0)
    day = datetime.fromtimestamp((await usage_of(database)).periods[Period.DAY].current.start, UTC)
    assert day == datetime(2026, 11, 20, 5, tzinfo=UTC)


async def test_a_cap_added_in_mid_window_starts_from_the_calls_already_counted(
    ledger: PostgresLedger,
) -> None:
    await reserve(ledger, a_recent_call("before"))
    call = a_recent_call("after")
    await open_call(ledger, call)
    capped = a_candidate(offer_limits=ONE_CALL)
    assert isinstance(await ledger.reserve(a_request(call, capped)), NothingFits)


async def test_a_caller_who_was_sold_before_is_refused_where_a_rule_says_so(
    ledger: PostgresLedger,
) -> None:
    await route(ledger, a_recent_call("first"))
    picky, other = a_candidate(duplicates=NO_REPEATS), a_candidate("other", buyer="other")
    call = a_recent_call("again")
    await open_call(ledger, call)
    refused = ((0, Reason.DUPLICATE_CALLER),)
    assert await ledger.reserve(a_request(call, picky, other)) == Reserved(1, refused)
    stranger = a_recent_call("stranger", caller=from_number(2))
    assert await reserve(ledger, stranger, picky) == 0


async def test_of_calls_of_one_caller_at_once_one_is_sold(dsn: str) -> None:
    databases = [await Database.connect(dsn) for _ in range(3)]
    ledgers = [a_ledger(database) for database in databases]
    picky = a_candidate(duplicates=NO_REPEATS)
    for number in range(10):
        caller = from_number(number)
        calls = [a_recent_call(f"{number}-{place}", caller=caller) for place in range(6)]
        pairs = list(zip(calls, ledgers * 2, strict=True))
        await asyncio.gather(*(open_call(ledger, call) for call, ledger in pairs))
        results = await asyncio.gather(
            *(ledger.reserve(a_request(call, picky)) for call, ledger in pairs)
        )
        assert sum(isinstance(result, Reserved) for result in results) == 1
    for database in databases:
        await database.close()


async def test_a_call_is_no_duplicate_of_itself_on_its_way_down_the_plan(
    ledger: PostgresLedger,
) -> None:
    picky = [a_candidate(name, duplicates=NO_REPEATS) for name in ("one", "two")]
    call = a_recent_call()
    await reserve(ledger, call, *picky)
    assert await ledger.reserve(a_request(call, picky[1])) == Reserved(0)


async def test_what_was_given_back_makes_no_duplicate(ledger: PostgresLedger) -> None:
    picky = a_candidate(duplicates=NO_REPEATS)
    first, second = a_recent_call("first"), a_recent_call("second")
    await reserve(ledger, first, picky)
    await ledger.reserve(a_request(first, picky, start=1))
    assert await reserve(ledger, second, picky) == 0


@pytest.mark.parametrize("changes", [{"caller": Caller()}, {"test": True}], ids=str)
async def test_withheld_callers_and_test_calls_are_no_duplicates(
    ledger: PostgresLedger, changes: dict[str, object]
) -> None:
    picky = a_candidate(duplicates=NO_REPEATS)
    await route(ledger, a_recent_call("first"), picky)
    if "caller" in changes:
        await route(ledger, a_recent_call("withheld", **changes), picky)
    assert await reserve(ledger, a_recent_call("next", **changes), picky) == 0


async def test_a_request_that_can_not_be_stored_fails_alone(
    database: Database, ledger: PostgresLedger
) -> None:
    calls = [a_recent_call(f"call-{number}") for number in range(8)]
    await asyncio.gather(*(open_call(ledger, call) for call in calls))
    plans: list[Candidate] = [a_candidate() for _ in calls]
    plans[3] = replace(plans[3], price=Decimal("1e12"))
    results = await asyncio.gather(
        *(ledger.reserve(a_request(call, plan)) for call, plan in zip(calls, plans, strict=True)),
        return_exceptions=True,
    )
    assert isinstance(results.pop(3), asyncpg.NumericValueOutOfRangeError)
    assert results == [Reserved(0)] * 7
    assert (await usage_of(database)).live == 7
    await assert_balanced(database)


async def test_usage_rows_that_have_gone_are_made_again(
    database: Database, ledger: PostgresLedger
) -> None:
    await reserve(ledger, a_recent_call("before"))
    async with database.connection() as connection:
        await connection.execute("delete from usage_counters")
    assert await reserve(ledger, a_recent_call("after")) == 0
    assert (await usage_of(database)).live == 1


async def test_a_test_callers_route_is_not_counted_with_the_routes_of_others(
    database: Database, ledger: PostgresLedger
) -> None:
    await route(ledger, a_recent_call("test", test=True), a_candidate(owners=()))
    async with database.connection() as connection:
        assert await connection.fetchval("select caller_hash from reservations") is None


async def test_a_route_counts_for_duplicates_from_its_reservation_on(
    ledger: PostgresLedger,
) -> None:
    picky = a_candidate(duplicates=NO_REPEATS)
    await reserve(ledger, a_recent_call("deciding"), a_candidate())
    call = a_recent_call("second")
    await open_call(ledger, call)
    assert isinstance(await ledger.reserve(a_request(call, picky)), NothingFits)
    await ledger.finish(a_finish(a_recent_call("deciding"), None))
    assert await ledger.reserve(a_request(call, picky)) == Reserved(0)


async def outcomes(ledger: PostgresLedger, requests: list[ReserveRequest]) -> list[object]:
    return await asyncio.gather(*map(ledger.reserve, requests), return_exceptions=True)


@pytest.mark.parametrize("whole", [False, True])
async def test_requests_that_need_a_locked_owner_fail_and_the_others_go_through(
    database: Database, ledger: PostgresLedger, whole: bool
) -> None:
    full = a_candidate("full", buyer="full", offer_limits=limits(FULL_OWNER, concurrency=0))
    other = a_candidate("other", buyer="other")
    await reserve(ledger, a_recent_call("first"), a_candidate())
    calls = [a_recent_call(f"call-{number}") for number in range(20)]
    requests = []
    for number, call in enumerate(calls):
        plan = (a_candidate() if number % 2 else other,)
        opened = await open_call(ledger, call)
        requests.append(a_request(call, *((full, *plan) if whole else plan), epoch=opened.epoch))
    async with database.transaction() as connection:
        await connection.execute(LOCK_OWNER, OFFER_OWNER)
        started = time.monotonic()
        results = await outcomes(ledger, requests)
        assert time.monotonic() - started < 3
    assert all(isinstance(result, Reserved) for result in results[::2])
    assert all(isinstance(result, StorageUnavailableError) for result in results[1::2])
    assert all(isinstance(each, Reserved) for each in await outcomes(ledger, requests))
    await assert_balanced(database)


async def test_a_request_for_a_locked_call_or_caller_fails_alone(
    database: Database, ledger: PostgresLedger
) -> None:
    rule = DuplicateRule(30, DuplicateAfter.ROUTED, DuplicateScope.OFFER)
    calls = [a_recent_call(f"call-{n}", caller=from_number(n)) for n in range(4)]
    for call in calls:
        await open_call(ledger, call)
    requests = [a_request(call, a_candidate(duplicates=rule)) for call in calls]
    caller = VAULT.hash(calls[2].caller.number)
    assert caller is not None
    key = int.from_bytes(caller[:8], signed=True)
    async with database.transaction() as connection:
        await connection.execute(LOCK_CALL, "call-1")
        await connection.execute("select pg_advisory_xact_lock($1)", key)
        results = await outcomes(ledger, requests)
    failed = [isinstance(result, StorageUnavailableError) for result in results]
    assert failed == [False, True, True, False]
    await assert_balanced(database)
