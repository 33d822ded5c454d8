"""A post's tries: repeated only where the contract allows it, and only while there is time."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from tenacity import AsyncRetrying, RetryCallState, retry_if_result
from tenacity.wait import wait_exponential

from auction.domain.bidding import PostNotSent, PostReply, PostUnknown
from auction.domain.value import value
from buyers.dialect import PostTry

FIRST_WAIT_S = 0.05
LONGEST_WAIT_S = 0.5
USEFUL_S = 0.02
"""A try that would have less time than this is not begun."""

_backoff = wait_exponential(multiplier=FIRST_WAIT_S, max=LONGEST_WAIT_S)


@value(frozen=True, slots=True)
class PostLimits:
    """Seconds for a try and for all; ``idempotent``: an unanswered one may be repeated."""

    try_s: float
    total_s: float
    idempotent: bool = False


class PostTries:
    """The tries of one post until a deadline on the running loop's clock.

    ``now`` is the wall clock, for answers that name a date to come back at.
    """

    def __init__(
        self,
        send: Callable[[Callable[[], None]], Awaitable[PostTry]],
        limits: PostLimits,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._send = send
        self._limits = limits
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + limits.total_s
        self._maybe_taken = False
        self._opened = False

    async def run(self) -> PostReply:
        """What the buyer said in the end; unknown when any try may have reached it unanswered."""
        first = await self._try()
        if not first.again:
            return first.reply
        reply = await self._tried_again(first)
        if isinstance(reply, PostNotSent) and self._maybe_taken:
            return PostUnknown(reply.detail, blames_buyer=reply.blames_buyer)
        return reply

    async def _tried_again(self, first: PostTry) -> PostReply:
        try:
            async with asyncio.timeout_at(self._deadline):
                return await self._repeated(first)
        except TimeoutError:
            return self._timed_out(self._limits.total_s)

    async def _repeated(self, first: PostTry) -> PostReply:
        tried = iter([first])

        async def attempt() -> PostTry:
            return next(tried, None) or await self._try()

        retrying = AsyncRetrying(
            sleep=asyncio.sleep,
            retry=retry_if_result(_may_follow),
            wait=self._wait,
            stop=self._no_time_left,
            retry_error_callback=_last,
        )
        last: PostTry = await retrying(attempt)
        return last.reply

    async def _try(self) -> PostTry:
        self._opened = False
        limit_s = min(self._limits.try_s, self._deadline - self._loop.time())
        outcome = await self._within(limit_s)
        if outcome is None:
            reply = self._timed_out(limit_s)
            outcome = PostTry(reply, again=self._limits.idempotent or not self._opened)
        self._opened = False
        self._maybe_taken |= isinstance(outcome.reply, PostUnknown)
        return outcome

    async def _within(self, limit_s: float) -> PostTry | None:
        """How a try ends, None when it takes too long: a timer alone, for nearly all have one."""
        exchange = asyncio.ensure_future(self._send(self._note_opened))
        timer = self._loop.call_later(max(0.0, limit_s), exchange.cancel)
        try:
            return await exchange
        except asyncio.CancelledError:
            exchange.cancel()
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return None
        finally:
            timer.cancel()

    def _note_opened(self) -> None:
        self._opened = True

    def _timed_out(self, limit_s: float) -> PostReply:
        within = f"within {limit_s * 1000:.0f} ms"
        if self._opened or self._maybe_taken:
            return PostUnknown(f"no answer {within}")
        return PostNotSent(f"no connection {within}")

    def _wait(self, state: RetryCallState) -> float:
        asked = _seconds(_last(state).retry_after, self._now)
        return max(asked, _backoff(state))

    def _no_time_left(self, state: RetryCallState) -> bool:
        return self._loop.time() + state.upcoming_sleep + USEFUL_S > self._deadline


def _may_follow(outcome: PostTry) -> bool:
    return outcome.again


def _last(state: RetryCallState) -> PostTry:
    outcome = state.outcome
    assert outcome is not None
    result: PostTry = outcome.result()
    return result


def _seconds(retry_after: str | None, now: Callable[[], datetime]) -> float:
    """How long a Retry-After header asks to wait; 0 when it says nothing that can be read."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now()).total_seconds())
