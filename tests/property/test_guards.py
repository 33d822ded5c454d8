"""Breakers, windows and rates under any traffic."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from auction.domain.breaker import (
    TRICKLE_S,
    WHOLE,
    Asked,
    Breaker,
    BreakerState,
    BreakerTerms,
    PingWeight,
)
from auction.domain.failure_window import COUNTS, Count, FailureWindow
from auction.domain.overload import LoadLevel, Thresholds, next_level
from auction.domain.ping_rate import PingRate
from tests.guard_steps import breaker_terms

STEPS = st.sampled_from([0.0, 0.001, 0.1, 1.0, 7.0, 31.0, 61.0])
WEIGHTS = st.sampled_from(list(PingWeight))
TERMS = breaker_terms(minimum_pings=4, minimum_posts=3, probes=3, trickle=2_000)
EVERY = WHOLE // TERMS.trickle


@dataclass
class Stretch:
    """Pings asked for while the breaker was open, without a break."""

    began: float
    asked: int = 0
    passed: int = 0
    held_in_a_row: int = 0


class BreakerMachine(RuleBasedStateMachine):
    """Any pings, whatever becomes of them and whenever, some told never."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(TERMS)
        self.now = 0.0
        self.out: list[Asked] = []
        self.stretch: Stretch | None = None

    @rule(step=STEPS)
    def ask(self, step: float) -> None:
        self.now += step
        was = self.breaker.state
        asked = self.breaker.ask(self.now)
        passes = asked.why is None
        if was is BreakerState.CLOSED:
            assert passes, "closed holds nobody back"
        if passes:
            self.out.append(asked)
        self._note(passes=passes)

    def _note(self, *, passes: bool) -> None:
        if self.breaker.state is not BreakerState.OPEN:
            self.stretch = None
            return
        if self.stretch is None:
            self.stretch = Stretch(self.now)
        self.stretch.asked += 1
        self.stretch.passed += passes
        self.stretch.held_in_a_row = 0 if passes else self.stretch.held_in_a_row + 1

    @precondition(lambda self: self.out)
    @rule(step=STEPS, weight=WEIGHTS, data=st.data())
    def end(self, step: float, weight: PingWeight, data: st.DataObject) -> None:
        self.now += step
        asked = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        self.breaker.pinged(asked.epoch, weight, self.now)

    @rule(step=STEPS, refused=st.booleans())
    def post(self, step: float, refused: bool) -> None:
        self.now += step
        self.breaker.posted(refused=refused, now=self.now)

    @invariant()
    def a_trickle_always_gets_through(self) -> None:
        if self.stretch is not None:
            assert self.stretch.held_in_a_row < EVERY

    @invariant()
    def no_more_than_the_trickle_gets_through(self) -> None:
        if self.stretch is not None:
            lonely = (self.now - self.stretch.began) / TRICKLE_S + 1
            assert self.stretch.passed <= self.stretch.asked / EVERY + lonely


TestBreaker = BreakerMachine.TestCase


@given(st.lists(st.tuples(WEIGHTS, st.booleans()), max_size=60))
def test_every_request_counts_exactly_once(ends: list[tuple[PingWeight, bool]]) -> None:
    model = Model(TERMS)
    breaker = Breaker(TERMS)
    for weight, by_post in ends:
        if model.is_open():
            break
        if by_post:
            refused = weight is not PingWeight.ANSWERED
            breaker.posted(refused=refused, now=0.0)
            model.posted(refused=refused)
        else:
            breaker.pinged(breaker.ask(0.0).epoch, weight, 0.0)
            model.pinged(weight)
        assert (breaker.state is BreakerState.OPEN) == model.is_open()


@dataclass
class Model:
    """The same counts, kept in the plainest way."""

    terms: BreakerTerms
    pings: list[PingWeight] = field(default_factory=list)
    posts: list[bool] = field(default_factory=list)

    def pinged(self, weight: PingWeight) -> None:
        if weight is not PingWeight.UNTOLD:
            self.pings.append(weight)

    def posted(self, *, refused: bool) -> None:
        self.posts.append(refused)

    def is_open(self) -> bool:
        failed = sum(each is not PingWeight.ANSWERED for each in self.pings)
        pings_fail = len(self.pings) >= self.terms.minimum_pings and failed * 2 >= len(self.pings)
        refused = sum(self.posts)
        posts_fail = len(self.posts) >= self.terms.minimum_posts and refused * 2 >= len(self.posts)
        return pings_fail or posts_fail


@given(st.lists(WEIGHTS, max_size=40), st.floats(30, 1e5), st.integers(1, 20))
def test_a_buyer_that_is_well_again_is_pinged_freely_again(
    history: list[PingWeight], later: float, probes: int
) -> None:
    breaker = Breaker(breaker_terms(minimum_pings=1, probes=probes))
    for weight in history:
        breaker.pinged(breaker.ask(0.0).epoch, weight, 0.0)
    for _ in range(100):
        asked = breaker.ask(later)
        if asked.why is None:
            breaker.pinged(asked.epoch, PingWeight.ANSWERED, later)
    assert breaker.state is BreakerState.CLOSED


@given(st.lists(st.tuples(st.floats(0, 30), st.sampled_from(list(COUNTS))), max_size=50))
def test_a_window_forgets_what_is_older_and_nothing_much_younger(
    events: list[tuple[float, Count]],
) -> None:
    window, now = FailureWindow(10.0), 0.0
    seen: list[tuple[float, Count]] = []
    for step, count in events:
        now += step
        totals = window.add(now, count)
        seen.append((now, count))
        for each in COUNTS:
            at_most = sum(1 for at, what in seen if what == each and now - at <= 10.0)
            at_least = sum(1 for at, what in seen if what == each and now - at < 9.0)
            assert at_least <= totals[each] <= at_most
    assert len(window._buckets) <= 10


@pytest.mark.parametrize("per_second", [0.3, 1.0, 2.5, 10.0])
@given(steps=st.lists(st.sampled_from([0.0, 0.01, 0.1, 0.35, 1.0, 4.0]), max_size=80))
def test_no_span_of_time_gets_more_pings_than_the_rate(
    per_second: float, steps: list[float]
) -> None:
    rate, now = PingRate(per_second), 0.0
    sent: list[float] = []
    for step in steps:
        now += step
        burst = max(1, int(per_second))
        recent = [at for at in sent if now - at < burst / per_second]
        assert rate.has_room(now) == (len(recent) < burst)
        if rate.has_room(now):
            rate.take(now)
            sent.append(now)


@given(st.lists(st.integers(0, 300), max_size=40))
def test_between_entering_and_leaving_nothing_flaps(calls: list[int]) -> None:
    thresholds = Thresholds(static_only=100, refuse=200)
    level = LoadLevel.NORMAL
    for reading in calls:
        before, level = level, next_level(level, [(reading, thresholds)])
        if level > before:
            assert reading >= 100 * level
        if level < before:
            assert reading < 0.7 * 100 * before
