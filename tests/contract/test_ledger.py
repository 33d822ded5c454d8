"""What every ledger must do, whether it keeps its books in memory or in PostgreSQL."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from auction.domain.decision import (
    AlreadyDecided,
    BeingDecided,
    Finished,
    NothingFits,
    Opened,
    OtherContent,
    Reserved,
    Superseded,
)
from auction.domain.ids import CallId, OfferId, OwnerId, offer_owner
from auction.domain.reasons import Reason
from auction.domain.terms import DuplicateAfter, DuplicateRule, DuplicateScope
from auction.domain.usage import Usage
from auction.ports import Ledger
from storage.database import Database
from storage.memory import MemoryLedger
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
)


@dataclass(slots=True)
class Books:
    """A ledger under test, what it counts, and a way to let a decider's claim run out."""

    ledger: Ledger
    usage: Callable[[], Awaitable[dict[OwnerId, Usage]]]
    let_claims_run_out: Callable[[str], Awaitable[None]]

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

    return Books(ledger, usage, run_out)


def in_postgresql(database: Database) -> Books:
    """The ledger of the service."""
    return Books(
        a_ledger(database),
        lambda: all_usage(database),
        lambda call_id: rewind(database, CLAIM_OVER, [CallId(call_id)]),
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
