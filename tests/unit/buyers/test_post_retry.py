import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from auction.domain.bidding import (
    PostAccepted,
    PostNotSent,
    PostRejected,
    PostReply,
    PostUnknown,
)
from buyers.dialect import PostTry
from buyers.post_retry import PostLimits, PostTries
from tests.virtual_time import run_virtually

START = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
REFUSED = PostTry(PostNotSent("connection refused"), again=True)
LIMITED = PostTry(PostNotSent("HTTP 429"), again=True)
BUSY = PostTry(PostUnknown("HTTP 503"), again=True)
ACCEPTED = PostTry(PostAccepted())

Step = PostTry | Callable[[Callable[[], None]], Awaitable[PostTry]]


class Buyer:
    """Answers tries by a script, the last step for ever; remembers when it was asked."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.asked_at: list[float] = []

    async def send(self, opened: Callable[[], None]) -> PostTry:
        self.asked_at.append(asyncio.get_running_loop().time())
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        return step if isinstance(step, PostTry) else await step(opened)


def post(
    buyer: Buyer, timeout_s: float = 1.0, try_s: float | None = None, *, idempotent: bool = False
) -> tuple[PostReply, float]:
    async def scenario() -> tuple[PostReply, float]:
        clock = asyncio.get_running_loop()
        limits = PostLimits(timeout_s if try_s is None else try_s, timeout_s, idempotent)
        tries = PostTries(buyer.send, limits, now=lambda: START + timedelta(seconds=clock.time()))
        return await tries.run(), clock.time()

    return run_virtually(scenario())


def after(retry_after: str) -> PostTry:
    return PostTry(PostUnknown("HTTP 503"), again=True, retry_after=retry_after)


async def hang(opened: Callable[[], None]) -> PostTry:
    opened()
    await asyncio.sleep(3600)
    return ACCEPTED


async def never_open(_opened: Callable[[], None]) -> PostTry:
    await asyncio.sleep(3600)
    return ACCEPTED


async def refuse_once_open(opened: Callable[[], None]) -> PostTry:
    opened()
    return LIMITED


@pytest.mark.parametrize(
    "outcome",
    [ACCEPTED, PostTry(PostRejected("no")), PostTry(PostUnknown("HTTP 500"))],
)
def test_one_try_is_enough_where_no_other_may_follow(outcome: PostTry) -> None:
    buyer = Buyer(outcome)

    assert post(buyer) == (outcome.reply, 0.0)
    assert len(buyer.asked_at) == 1


@pytest.mark.parametrize("first", [REFUSED, LIMITED, BUSY])
def test_a_try_that_may_be_repeated_is_repeated_after_a_pause(first: PostTry) -> None:
    buyer = Buyer(first, first, ACCEPTED)
    reply, _ = post(buyer)

    assert reply == PostAccepted()
    assert buyer.asked_at == pytest.approx([0.0, 0.05, 0.15])


def test_tries_end_inside_the_timeout() -> None:
    buyer = Buyer(REFUSED)
    reply, ended = post(buyer, timeout_s=1.0)

    assert reply == PostNotSent("connection refused")
    assert ended <= 1.0
    assert len(buyer.asked_at) > 3


def test_a_wish_to_come_back_later_is_honoured_when_it_fits() -> None:
    buyer = Buyer(after("2"), ACCEPTED)

    assert post(buyer, timeout_s=3.0) == (PostAccepted(), 2.0)


def test_a_wish_that_does_not_fit_ends_the_tries_at_once() -> None:
    buyer = Buyer(after("5"), ACCEPTED)

    assert post(buyer, timeout_s=3.0) == (PostUnknown("HTTP 503"), 0.0)
    assert len(buyer.asked_at) == 1


def test_a_wish_may_be_a_date() -> None:
    buyer = Buyer(after("Fri, 20 Nov 2026 17:00:01 GMT"), ACCEPTED)

    assert post(buyer, timeout_s=3.0) == (PostAccepted(), 1.0)


@pytest.mark.parametrize(
    "text",
    ["", "soon", "-1", "1.5", "\u0662", "0", "Fri, 99 Nov 2026 17:00:01 GMT", "1999-01-01"],
)
def test_a_wish_that_can_not_be_read_is_passed_over(text: str) -> None:
    buyer = Buyer(after(text), ACCEPTED)

    assert post(buyer) == (PostAccepted(), 0.05)


def test_a_wish_for_ages_does_not_fit() -> None:
    buyer = Buyer(after("9" * 400), ACCEPTED)

    assert post(buyer) == (PostUnknown("HTTP 503"), 0.0)


def test_silence_after_the_connection_opened_is_unknown() -> None:
    reply, ended = post(Buyer(hang), timeout_s=0.5)

    assert reply == PostUnknown("no answer within 500 ms")
    assert ended == pytest.approx(0.5)


def test_a_connection_that_does_not_open_in_time_means_nothing_was_sent() -> None:
    reply, ended = post(Buyer(never_open), timeout_s=0.5)

    assert reply == PostNotSent("no connection within 500 ms")
    assert ended == pytest.approx(0.5)


def test_what_an_earlier_try_may_have_sold_stays_unknown() -> None:
    assert post(Buyer(BUSY, REFUSED))[0] == PostUnknown("connection refused")
    assert post(Buyer(BUSY, never_open))[0] == PostUnknown("no answer within 1000 ms")
    assert post(Buyer(BUSY, LIMITED))[0] == PostUnknown("HTTP 429")


def test_a_later_word_of_the_buyer_settles_what_was_unknown() -> None:
    assert post(Buyer(BUSY, PostTry(PostRejected("no"))))[0] == PostRejected("no")


def test_a_refusal_to_look_at_the_post_leaves_nothing_unknown() -> None:
    assert post(Buyer(refuse_once_open, never_open))[0] == PostNotSent(
        "no connection within 1000 ms"
    )


def test_a_cancelled_post_is_cancelled() -> None:
    async def scenario() -> None:
        tries = PostTries(Buyer(hang).send, PostLimits(60, 60), now=lambda: START)
        running = asyncio.ensure_future(tries.run())
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    run_virtually(scenario())


def test_an_idempotent_post_that_timed_out_is_tried_again_while_there_is_time() -> None:
    reply, took_s = post(Buyer(hang, ACCEPTED), timeout_s=1.0, try_s=0.3, idempotent=True)
    assert reply == PostAccepted()
    assert took_s == pytest.approx(0.35, abs=0.01)


def test_a_post_that_timed_out_is_not_repeated_unless_idempotent() -> None:
    buyer = Buyer(hang, ACCEPTED)
    reply, _ = post(buyer, timeout_s=1.0, try_s=0.3)
    assert reply == PostUnknown("no answer within 300 ms")
    assert len(buyer.asked_at) == 1


def test_a_connection_that_never_opened_within_a_try_is_tried_again() -> None:
    assert post(Buyer(never_open, ACCEPTED), timeout_s=1.0, try_s=0.3)[0] == PostAccepted()
