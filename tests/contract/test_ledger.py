"""What every ledger must do, whether it keeps its books in memory or in PostgreSQL."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from auction.domain.finishing import Finished
from auction.domain.ids import CallId, OfferId, OwnerId, offer_owner
from auction.domain.next_attempt import (
    AlreadyConverted,
    FailReason,
    NoSuchAttempt,
    Rerouting,
    UnknownCall,
)
from auction.domain.opening import AlreadyDecided, BeingDecided, Opened, OtherContent
from auction.domain.reasons import Reason
from auction.domain.reserving import NothingFits, Reserved, Superseded
from auction.domain.terms import DuplicateAfter, DuplicateRule, DuplicateScope
from auction.domain.usage import Usage
from auction.ports import NextLedger
from storage.database import Database
from storage.memory import MemoryLedger
from tests.builders import CAMPAIGN
from tests.ledger_steps import (
    CLAIM_OVER,
    OFFER_OWNER,
    a_candidate,
    a_finish,
    a_ledger,
    a_recent_call,
    a_request,
    all_usage,
    an_opening,
    daily_calls,
    limits,
    rewind,
    today,
)
from tests.next_steps import a_failure, reroute, route_first, route_next

BEACON = a_candidate("beacon-auto", buyer="beacon")
BEACON_OWNER = offer_owner(BEACON.offer)

SOLD = """
    insert into conversions (call_id, side, attempt, amount, trigger, at)
    select call_id, 'buyer', attempt, 52, 'attempt', now() from calls where call_id = any($1)
"""


@dataclass(slots=True)
class Books:
    """A ledger under test, what it counts, ways to let claims run out and to sell a call."""

    ledger: NextLedger
    usage: Callable[[], Awaitable[dict[OwnerId, Usage]]]
    let_claims_run_out: Callable[[str], Awaitable[None]]
    sell: Callable[[str], Awaitable[None]]

    async def live(self) -> int:
        """The offer's live calls."""
        return (await self.usage()).get(OFFER_OWNER, Usage()).live


@dataclass(slots=True)
class MovableClock:
    """The memory ledger's clock."""

    ahead: timedelta = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def in_memory() -> Books:
    """The ledger of tests and replays."""
    clock = MovableClock()
    ledger = MemoryLedger(clock.now)

    async def usage() -> dict[OwnerId, Usage]:
        return dict(ledger.usage)

    async def run_out(_: str) -> None:
        clock.ahead += timedelta(minutes=2)

    async def sell(call_id: str) -> None:
        ledger.converted.add(CallId(call_id))

    return Books(ledger, usage, run_out, sell)


def in_postgresql(database: Database) -> Books:
    """The ledger of the service."""
    return Books(
        a_ledger(database),
        lambda: all_usage(database),
        lambda call_id: rewind(database, CLAIM_OVER, [CallId(call_id)]),
        lambda call_id: rewind(database, SOLD, [CallId(call_id)]),
    )


@pytest.fixture(params=["memory", "postgresql"])
def books(request: pytest.FixtureRequest, database: Database) -> Books:
    return in_memory() if request.param == "memory" else in_postgresql(database)


async def test_a_call_is_opened_once_and_decided_by_one(books: Books) -> None:
    call = a_recent_call()
    assert isinstance(await books.ledger.open(an_opening(call)), Opened)
    again = await books.ledger.open(an_opening(call))
    assert isinstance(again, BeingDecided)
    assert 0 < again.wait_ms <= 10_001


async def test_other_content_under_the_same_call_id_is_told(books: Books) -> None:
    call = a_recent_call()
    await books.ledger.open(an_opening(call))
    other = await books.ledger.open(an_opening(call, fingerprint=b"other"))
    assert other == OtherContent()


async def test_the_stored_answer_comes_back_byte_for_byte(books: Books) -> None:
    call, candidate = a_recent_call(), a_candidate()
    await books.ledger.open(an_opening(call))
    await books.ledger.reserve(a_request(call, candidate))
    finish = a_finish(call, candidate)
    assert await books.ledger.finish(finish) == Finished()
    assert await books.ledger.open(an_opening(call)) == AlreadyDecided(finish.answer)


async def test_the_first_candidate_with_room_is_held_and_the_refused_say_why(books: Books) -> None:
    full = a_candidate("full", offer_limits=limits(offer_owner(OfferId("full")), concurrency=0))
    capped = a_candidate("capped", offer_limits=limits(OFFER_OWNER, daily_calls(0)))
    call = a_recent_call()
    await books.ledger.open(an_opening(call))
    reserved = await books.ledger.reserve(a_request(call, full, capped, a_candidate()))
    assert reserved == Reserved(2, ((0, Reason.CONCURRENCY_FULL), (1, Reason.CAP_REACHED)))
    assert await books.live() == 1


async def test_when_nothing_fits_nothing_is_held(books: Books) -> None:
    full = a_candidate(offer_limits=limits(OFFER_OWNER, concurrency=0))
    call = a_recent_call()
    await books.ledger.open(an_opening(call))
    nothing = await books.ledger.reserve(a_request(call, full))
    assert nothing == NothingFits(((0, Reason.CONCURRENCY_FULL),))
    assert await books.live() == 0


async def test_going_on_to_the_next_candidate_gives_the_first_hold_back(books: Books) -> None:
    call, other = a_recent_call(), a_candidate("other", buyer="other")
    await books.ledger.open(an_opening(call))
    await books.ledger.reserve(a_request(call, a_candidate(), other))
    assert await books.live() == 1
    assert await books.ledger.reserve(a_request(call, other)) == Reserved(0)
    assert await books.live() == 0
    usage = await books.usage()
    assert usage[offer_owner(OfferId("other"))].live == 1


async def test_a_no_route_gives_the_hold_back(books: Books) -> None:
    call = a_recent_call()
    await books.ledger.open(an_opening(call))
    await books.ledger.reserve(a_request(call))
    assert await books.ledger.finish(a_finish(call, None)) == Finished()
    assert await books.live() == 0


async def test_a_takeover_finds_the_plan_and_the_old_decider_is_superseded(books: Books) -> None:
    call, candidate = a_recent_call(), a_candidate()
    await books.ledger.open(an_opening(call))
    await books.ledger.reserve(a_request(call, candidate))
    await books.let_claims_run_out(call.call_id)
    taken_over = await books.ledger.open(an_opening(call))
    assert isinstance(taken_over, Opened)
    assert taken_over.epoch == 2
    assert taken_over.plan is not None
    assert taken_over.plan.position == 0
    assert taken_over.plan.candidates[0].post_id == candidate.post_id
    assert isinstance(await books.ledger.finish(a_finish(call, candidate)), Superseded)
    assert isinstance(await books.ledger.reserve(a_request(call, candidate)), Superseded)
    assert await books.ledger.finish(a_finish(call, candidate, epoch=2)) == Finished()
    assert await books.live() == 1


async def test_an_answer_that_does_not_bind_is_decided_anew_with_any_content(books: Books) -> None:
    call = a_recent_call()
    await books.ledger.open(an_opening(call, campaign=None))
    await books.ledger.finish(a_finish(call, None, binding=False, reason="unknown_campaign"))
    again = await books.ledger.open(an_opening(call, fingerprint=b"other"))
    assert isinstance(again, Opened)
    assert again.plan is None


async def test_a_callers_second_call_is_a_duplicate_where_the_rule_says_so(books: Books) -> None:
    rule = DuplicateRule(30, DuplicateAfter.ROUTED, DuplicateScope.OFFER)
    candidate = a_candidate(duplicates=rule)
    first, second = a_recent_call("first"), a_recent_call("second")
    await books.ledger.open(an_opening(first))
    await books.ledger.reserve(a_request(first, candidate))
    opened = await books.ledger.open(an_opening(second))
    assert isinstance(opened, Opened)
    assert [past.offer for past in opened.past_calls] == [candidate.offer]
    refused = await books.ledger.reserve(a_request(second, candidate))
    assert refused == NothingFits(((0, Reason.DUPLICATE_CALLER),))


async def test_a_refused_first_call_is_no_duplicate_of_the_second(books: Books) -> None:
    first, second = a_recent_call("first"), a_recent_call("second")
    await books.ledger.open(an_opening(first))
    await books.ledger.reserve(a_request(first))
    await books.ledger.finish(a_finish(first, None))
    opened = await books.ledger.open(an_opening(second))
    assert isinstance(opened, Opened)
    assert opened.past_calls == ()


async def test_many_at_once_never_exceed_a_cap(books: Books) -> None:
    candidate = a_candidate(offer_limits=limits(OFFER_OWNER, daily_calls(7)))
    calls = [a_recent_call(f"call-{number}") for number in range(30)]

    async def take(call_id: int) -> bool:
        call = calls[call_id]
        await books.ledger.open(an_opening(call))
        return isinstance(await books.ledger.reserve(a_request(call, candidate)), Reserved)

    taken = await asyncio.gather(*(take(number) for number in range(30)))
    assert sum(taken) == 7
    assert await books.live() == 7


async def test_a_failed_attempt_is_given_back_and_its_call_is_ours_again(books: Books) -> None:
    call, acme = a_recent_call(), a_candidate()
    await route_first(books.ledger, call, acme, BEACON)
    opened = await books.ledger.open_next(a_failure(call))
    assert opened == Rerouting(
        epoch=2,
        attempt=2,
        call=call,
        campaign=CAMPAIGN,
        tried=((acme.offer, Reason.BUSY),),
        candidates=(acme, BEACON),
        traces=(b"first trace",),
    )
    usage = (await books.usage())[OFFER_OWNER]
    assert (usage.live, *today(usage)) == (0, (0, 0, 0, 0), (0, 0, 0, 0))


async def test_the_answer_after_a_failure_comes_back_byte_for_byte(books: Books) -> None:
    call = a_recent_call()
    first = await route_first(books.ledger, call, a_candidate(), BEACON)
    second = await route_next(books.ledger, await reroute(books.ledger, call), BEACON)
    assert await books.ledger.open_next(a_failure(call)) == AlreadyDecided(second)
    assert await books.ledger.open(an_opening(call)) == AlreadyDecided(first)
    assert await books.live() == 0
    assert (await books.usage())[BEACON_OWNER].live == 1


async def test_failures_follow_each_other_until_nobody_is_left(books: Books) -> None:
    call, acme = a_recent_call(), a_candidate()
    first = await route_first(books.ledger, call, acme, BEACON)
    second = await route_next(books.ledger, await reroute(books.ledger, call), BEACON)
    again = await reroute(books.ledger, call, 2, reason=FailReason.NO_ANSWER)
    assert again.attempt == 3
    assert again.tried == ((acme.offer, Reason.BUSY), (BEACON.offer, Reason.NO_ANSWER))
    assert again.candidates == (BEACON,)
    assert again.traces == (b"first trace", b"trace 2")
    refused = a_finish(call, None, epoch=again.epoch, attempt=3, answer=b"nobody")
    assert await books.ledger.finish(refused) == Finished()
    assert {each.live for each in (await books.usage()).values()} == {0}
    assert await books.ledger.open_next(a_failure(call, 2)) == AlreadyDecided(b"nobody")
    assert await books.ledger.open_next(a_failure(call)) == AlreadyDecided(second)
    assert await books.ledger.open(an_opening(call)) == AlreadyDecided(first)
    assert await books.ledger.open_next(a_failure(call, 3)) == NoSuchAttempt()


async def test_a_repeat_of_a_failure_waits_while_the_next_route_is_decided(books: Books) -> None:
    call = a_recent_call()
    first = await route_first(books.ledger, call)
    await reroute(books.ledger, call)
    again = await books.ledger.open_next(a_failure(call))
    assert isinstance(again, BeingDecided)
    assert 0 < again.wait_ms <= 10_001
    assert await books.ledger.open(an_opening(call)) == AlreadyDecided(first)


async def test_other_content_about_the_same_attempt_is_told(books: Books) -> None:
    call = a_recent_call()
    await route_first(books.ledger, call)
    again = await reroute(books.ledger, call)
    other = a_failure(call, fingerprint=b"other")
    assert await books.ledger.open_next(other) == OtherContent()
    await route_next(books.ledger, again, BEACON)
    assert await books.ledger.open_next(other) == OtherContent()
    assert await books.ledger.open(an_opening(call, fingerprint=b"other")) == OtherContent()


async def test_there_is_nothing_after_an_attempt_that_was_never_given(books: Books) -> None:
    call, refused = a_recent_call(), a_recent_call("refused")
    assert await books.ledger.open_next(a_failure(call)) == UnknownCall()
    await books.ledger.open(an_opening(call))
    assert await books.ledger.open_next(a_failure(call)) == NoSuchAttempt()
    await books.ledger.reserve(a_request(call))
    assert await books.ledger.open_next(a_failure(call)) == NoSuchAttempt()
    await books.ledger.finish(a_finish(call, a_candidate()))
    assert await books.ledger.open_next(a_failure(call, 2)) == NoSuchAttempt()
    await books.ledger.open(an_opening(refused))
    await books.ledger.finish(a_finish(refused, None))
    assert await books.ledger.open_next(a_failure(refused)) == NoSuchAttempt()
    assert await books.live() == 1


async def test_who_takes_over_after_a_failure_finds_the_plan_of_that_attempt(books: Books) -> None:
    call = a_recent_call()
    await route_first(books.ledger, call, a_candidate(), BEACON)
    again = await reroute(books.ledger, call)
    ours = {"epoch": again.epoch, "attempt": 2}
    await books.ledger.reserve(a_request(call, BEACON, trace=b"posted", **ours))
    await books.let_claims_run_out(call.call_id)
    taken = await reroute(books.ledger, call)
    assert (taken.epoch, taken.attempt, taken.tried) == (3, 2, again.tried)
    assert taken.plan is not None
    assert (taken.plan.position, taken.plan.trace) == (0, b"posted")
    assert taken.plan.candidates == (BEACON,)
    assert await books.ledger.finish(a_finish(call, BEACON, **ours)) == Superseded(None)
    assert await books.ledger.reserve(a_request(call, BEACON, **ours)) == Superseded(None)
    answer = await route_next(books.ledger, taken, BEACON)
    assert await books.ledger.finish(a_finish(call, BEACON, **ours)) == Superseded(answer)
    assert await books.ledger.reserve(a_request(call, BEACON, **ours)) == Superseded(answer)
    assert (await books.usage())[BEACON_OWNER].live == 1


async def test_who_takes_over_before_a_plan_was_stored_begins_with_the_first_one(
    books: Books,
) -> None:
    call, plan = a_recent_call(), (a_candidate(), BEACON)
    await route_first(books.ledger, call, *plan)
    await reroute(books.ledger, call)
    await books.let_claims_run_out(call.call_id)
    taken = await reroute(books.ledger, call)
    assert (taken.epoch, taken.plan, taken.candidates) == (3, None, plan)
    assert await books.live() == 0


async def test_after_a_sale_nothing_follows_and_the_call_stays_as_it_is(books: Books) -> None:
    call = a_recent_call()
    first = await route_first(books.ledger, call)
    await books.sell(call.call_id)
    sold = AlreadyConverted(2, call, CAMPAIGN)
    assert await books.ledger.open_next(a_failure(call)) == sold
    usage = (await books.usage())[OFFER_OWNER]
    assert (usage.live, *today(usage)) == (0, (1, 0, 0, 0), (0, 0, 0, 0))
    assert await books.ledger.open_next(a_failure(call)) == sold
    assert await books.ledger.refuse_next(call.call_id, 1, b"sold") == b"sold"
    assert await books.ledger.refuse_next(call.call_id, 1, b"other") == b"sold"
    assert await books.ledger.open_next(a_failure(call)) == AlreadyDecided(b"sold")
    assert await books.ledger.open_next(a_failure(call, 2)) == NoSuchAttempt()
    assert await books.ledger.open(an_opening(call)) == AlreadyDecided(first)
    assert await books.live() == 0


async def test_a_late_route_after_a_failure_is_fetched_by_the_repeat(books: Books) -> None:
    call = a_recent_call()
    first = await route_first(books.ledger, call)
    again = await reroute(books.ledger, call)
    late = await route_next(books.ledger, again, BEACON, late=True)
    assert await books.ledger.open(an_opening(call)) == AlreadyDecided(first)
    assert await books.ledger.open_next(a_failure(call)) == AlreadyDecided(late)
    assert isinstance(await books.ledger.open_next(a_failure(call, 2)), Rerouting)


async def test_a_late_refusal_after_a_failure_that_does_not_bind_is_decided_anew(
    books: Books,
) -> None:
    call = a_recent_call()
    first = await route_first(books.ledger, call)
    again = await reroute(books.ledger, call)
    nobody = a_finish(call, None, epoch=again.epoch, attempt=2, late=True, binding=False)
    assert await books.ledger.finish(nobody) == Finished()
    assert await books.ledger.open(an_opening(call)) == AlreadyDecided(first)
    other = an_opening(call, fingerprint=b"other")
    assert await books.ledger.open(other) == OtherContent()
    anew = await reroute(books.ledger, call)
    assert (anew.epoch, anew.attempt) == (3, 2)
    assert isinstance(await books.ledger.open_next(a_failure(call)), BeingDecided)
    answer = await route_next(books.ledger, anew, BEACON)
    assert await books.ledger.open_next(a_failure(call)) == AlreadyDecided(answer)


async def test_a_switch_that_got_a_late_first_answer_may_fail_with_it(books: Books) -> None:
    call, candidate = a_recent_call(), a_candidate()
    await books.ledger.open(an_opening(call))
    await books.ledger.reserve(a_request(call, candidate))
    await books.ledger.finish(a_finish(call, candidate, late=True))
    assert isinstance(await books.ledger.open_next(a_failure(call)), Rerouting)
    assert await books.live() == 0


async def test_a_failed_attempt_is_no_past_call_of_its_caller(books: Books) -> None:
    failed, second = a_recent_call("failed"), a_recent_call("second")
    await route_first(books.ledger, failed)
    assert (await reroute(books.ledger, failed)).past_calls == ()
    opened = await books.ledger.open(an_opening(second))
    assert isinstance(opened, Opened)
    assert opened.past_calls == ()


async def test_another_route_sees_the_callers_other_calls(books: Books) -> None:
    failed, other = a_recent_call("failed"), a_recent_call("other")
    await route_first(books.ledger, failed)
    await route_first(books.ledger, other, BEACON)
    again = await reroute(books.ledger, failed)
    assert [past.offer for past in again.past_calls] == [BEACON.offer]


async def test_of_many_reports_of_one_failure_one_decides(books: Books) -> None:
    call = a_recent_call()
    await route_first(books.ledger, call)
    asked = (books.ledger.open_next(a_failure(call)) for _ in range(20))
    results = await asyncio.gather(*asked)
    assert sum(isinstance(each, Rerouting) for each in results) == 1
    assert sum(isinstance(each, BeingDecided) for each in results) == 19
    assert await books.live() == 0
