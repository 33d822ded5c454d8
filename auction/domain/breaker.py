"""When a buyer that keeps failing is left alone: closed, open, half open. Time is an argument.

Counted are answers to pings and to posts, each once and only what the buyer is to blame for. While
open and half open a trickle of real pings gets through whatever happens, so that nobody is locked
out for ever.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final

from auction.domain.failure_window import (
    COUNTS,
    MALFORMED,
    PINGS,
    POSTS,
    REFUSED_POSTS,
    TIMEOUTS,
    Count,
    FailureWindow,
)

TRICKLE_S: Final = 10.0
"""While pings are held back, one passes at least this often where there are any."""

WHOLE: Final = 10_000
"""A ratio of 1; ratios are whole numbers of its parts, so that counts compare exactly."""


class BreakerState(IntEnum):
    """What a breaker does; the values are published as ``pingpost_breaker_state``."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class PingWeight(Enum):
    """What the end of a ping says about its buyer."""

    ANSWERED = "answered"
    TIMED_OUT = "timed_out"
    MALFORMED = "malformed"
    UNTOLD = "untold"
    """Nothing: nobody waited for the answer, or a limit of our own kept it away."""


@dataclass(frozen=True, slots=True)
class BreakerTerms:
    """When a breaker opens and how it closes again; ratios in parts of ``WHOLE``.

    ``failure_ratio`` is of pings that failed in any way, ``timeout_ratio`` and ``malformed_ratio``
    of those that failed in one way, ``refused_post_ratio`` of posts. ``probes`` pings decide after
    ``open_s`` seconds. ``trickle`` is the share of pings that always passes. ``shadow``: it counts
    and does not act.
    """

    failure_ratio: int
    timeout_ratio: int
    malformed_ratio: int
    refused_post_ratio: int
    minimum_pings: int
    minimum_posts: int
    window_s: float
    open_s: float
    probes: int
    trickle: int
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """The answer to one ping's question. ``why`` None: it passes.

    ``epoch``: between which changes of state it was asked; what ends later tells nothing.
    """

    epoch: int
    why: str | None = None


class Breaker:
    """One offer's breaker. Each ping that passes is told to it once by ``pinged``."""

    def __init__(self, terms: BreakerTerms) -> None:
        self._terms = terms
        self._window = FailureWindow(terms.window_s)
        self._every = -(-WHOLE // terms.trickle)
        self._state = BreakerState.CLOSED
        self._epoch = 0
        self._passes = Asked(0)
        self._half_open_at = 0.0
        self._cause = ""
        self._by_posts = False
        self._held = 0
        self._passed_at = 0.0
        self._out = 0
        self._good = 0
        self._bad = [0] * len(COUNTS)

    @property
    def state(self) -> BreakerState:
        """The state that it is in; an open one half opens with the first ping after its time."""
        return self._state

    def ask(self, now: float) -> Asked:
        """Whether one ping may be sent."""
        if self._state is BreakerState.CLOSED:
            return self._passes
        if self._state is BreakerState.OPEN and now >= self._half_open_at:
            self._enter(BreakerState.HALF_OPEN)
        if self._is_free() or self._trickles(now):
            self._held, self._passed_at = 0, now
            self._out += 1
            return self._passes
        self._held += 1
        return Asked(self._epoch, self._why())

    def pinged(self, epoch: int, weight: PingWeight, now: float) -> None:
        """How a ping that passed in ``epoch`` has ended."""
        if epoch != self._epoch:
            return
        self._out = max(0, self._out - 1)
        if weight is _UNTOLD:
            return
        failed = None if weight is _ANSWERED else TIMEOUTS if weight is _TIMED_OUT else MALFORMED
        if self._state is BreakerState.HALF_OPEN and self._by_posts and failed is None:
            # It tells nothing of posts, but that the buyer is there.
            self._bad[TIMEOUTS] = self._bad[MALFORMED] = 0
        elif self._state is BreakerState.HALF_OPEN:
            self._judge(failed, good=failed is None, now=now)
        elif self._state is BreakerState.CLOSED:
            counts = self._count(now, PINGS, failed)
            self._open_if(self._failing_pings(counts), by_posts=False, now=now)

    def posted(self, *, refused: bool, now: float) -> None:
        """How a post has ended: taken or refused."""
        failed = REFUSED_POSTS if refused else None
        if self._state is BreakerState.HALF_OPEN:
            self._judge(failed, good=self._by_posts and not refused, now=now)
        elif self._state is BreakerState.CLOSED:
            counts = self._count(now, POSTS, failed)
            self._open_if(self._failing_posts(counts), by_posts=True, now=now)

    def _is_free(self) -> bool:
        return self._state is BreakerState.HALF_OPEN and self._out < self._terms.probes

    def _trickles(self, now: float) -> bool:
        return self._held + 1 >= self._every or now - self._passed_at >= TRICKLE_S

    def _why(self) -> str:
        if self._state is BreakerState.OPEN:
            return f"open: {self._cause}"
        return f"half open, {self._out} probes are out: {self._cause}"

    def _count(self, now: float, sent: Count, failed: Count | None) -> Sequence[int]:
        window = self._window
        return window.add(now, sent) if failed is None else window.add(now, sent, failed)

    def _open_if(self, cause: str | None, *, by_posts: bool, now: float) -> None:
        if cause is not None:
            self._open(cause, by_posts=by_posts, now=now)

    def _failing_pings(self, counts: Sequence[int]) -> str | None:
        """What fails too often, in words."""
        terms, pings = self._terms, counts[PINGS]
        timeouts, malformed = counts[TIMEOUTS], counts[MALFORMED]
        failed = timeouts + malformed
        if not failed or pings < terms.minimum_pings:
            return None
        if timeouts * WHOLE >= terms.timeout_ratio * pings:
            return f"{timeouts} of {pings} pings timed out"
        if malformed * WHOLE >= terms.malformed_ratio * pings:
            return f"{malformed} of {pings} pings had no readable answer"
        if failed * WHOLE >= terms.failure_ratio * pings:
            return f"{failed} of {pings} pings failed, {timeouts} timed out"
        return None

    def _failing_posts(self, counts: Sequence[int]) -> str | None:
        terms, posts, refused = self._terms, counts[POSTS], counts[REFUSED_POSTS]
        if posts < terms.minimum_posts or refused * WHOLE < terms.refused_post_ratio * posts:
            return None
        return f"{refused} of {posts} posts were refused"

    def _judge(self, failed: Count | None, *, good: bool, now: float) -> None:
        """One answer while half open: ``probes`` of them at most decide."""
        if failed is not None:
            self._bad[failed] += 1
        self._good += good
        pings_fail = self._probes_fail()
        refused = self._bad[REFUSED_POSTS]
        if pings_fail or refused >= self._many(self._terms.refused_post_ratio):
            failures = sum(self._bad)
            cause = f"{failures} of {failures + self._good} probes failed"
            self._open(cause, by_posts=not pings_fail, now=now)
        elif self._good > self._terms.probes - self._fewest():
            self._enter(BreakerState.CLOSED)

    def _probes_fail(self) -> bool:
        terms = self._terms
        timeouts, malformed = self._bad[TIMEOUTS], self._bad[MALFORMED]
        return (
            timeouts >= self._many(terms.timeout_ratio)
            or malformed >= self._many(terms.malformed_ratio)
            or timeouts + malformed >= self._many(terms.failure_ratio)
        )

    def _fewest(self) -> int:
        """So few failed probes would open it again."""
        terms = self._terms
        if self._by_posts:
            return self._many(terms.refused_post_ratio)
        return self._many(min(terms.failure_ratio, terms.timeout_ratio, terms.malformed_ratio))

    def _many(self, ratio: int) -> int:
        return -(-ratio * self._terms.probes // WHOLE)

    def _open(self, cause: str, *, by_posts: bool, now: float) -> None:
        self._cause, self._by_posts = cause, by_posts
        self._half_open_at = now + self._terms.open_s
        self._held, self._passed_at = 0, now
        self._enter(BreakerState.OPEN)

    def _enter(self, state: BreakerState) -> None:
        """Change state: everything counted so far is settled by it."""
        self._state = state
        self._epoch += 1
        self._passes = Asked(self._epoch)
        self._window.clear()
        self._out = self._good = 0
        self._bad = [0] * len(COUNTS)


_ANSWERED, _TIMED_OUT, _UNTOLD = PingWeight.ANSWERED, PingWeight.TIMED_OUT, PingWeight.UNTOLD
"""Looked up once: a member's name costs more than all that is done with it."""
