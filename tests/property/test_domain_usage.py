"""Cap accounting under any sequence of holds, settlements and releases."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from auction.domain.ids import OwnerId
from auction.domain.terms import Cap, Measure, OwnerLimits, Period
from auction.domain.usage import (
    NOTHING,
    Change,
    Starts,
    Units,
    Usage,
    apply,
    difference,
    held_by,
    refusal,
)
from tests.builders import NEW_YORK

CAPS = st.lists(
    st.builds(
        Cap, st.sampled_from(list(Measure)), st.sampled_from(list(Period)), st.integers(0, 6)
    ),
    max_size=4,
)
UNITS: st.SearchStrategy[Units] = st.tuples(
    st.just(1), st.just(1), st.integers(0, 1), st.integers(0, 4)
)


def starts_at(hour: int) -> Starts:
    """Windows of a toy calendar: a day has three hours, a month two days."""
    return (hour * 10 + 10, hour // 3 * 30 + 10, hour // 6 * 60 + 10, 0)


@dataclass
class Held:
    """One routed call and what it still holds."""

    starts: Starts
    units: Units
    change: Change = field(default_factory=Change)


class OwnerMachine(RuleBasedStateMachine):
    """One owner's usage row; calls of the present and of the window before come and go."""

    @initialize(caps=CAPS, concurrency=st.one_of(st.none(), st.integers(0, 4)))
    def limit(self, caps: list[Cap], concurrency: int | None) -> None:
        """Start empty, with some limits."""
        self.limits = OwnerLimits(OwnerId("offer:a"), NEW_YORK, concurrency, tuple(caps))
        self.usage = Usage()
        self.hour = 0
        self.held: list[Held] = []
        self.booked: list[Held] = []

    @rule(units=UNITS, late=st.integers(0, 2))
    def reserve(self, units: Units, late: int) -> None:
        """A call that arrived now, or a few hours ago, asks for its place."""
        starts = starts_at(max(0, self.hour - late))
        if refusal(self.usage, self.limits, starts, units) is None:
            call = Held(starts, units, held_by(units))
            self.usage = apply(self.usage, starts, call.change)
            self.held.append(call)
            self.booked.append(call)

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 99), earned=st.booleans())
    def settle(self, which: int, earned: bool) -> None:
        """A call ends: what it held is used or given back."""
        call = self.held.pop(which % len(self.held))
        used: Units = call.units if earned else (1, 0, 0, 0)
        self._move(call, Change(0, used, NOTHING))

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 99))
    def release(self, which: int) -> None:
        """A route that never came about gives everything back."""
        self._move(self.held.pop(which % len(self.held)), Change())

    @rule()
    def wait(self) -> None:
        """An hour passes."""
        self.hour += 1

    def _move(self, call: Held, to: Change) -> None:
        self.usage = apply(self.usage, call.starts, difference(call.change, to))
        call.change = to

    @invariant()
    def no_limit_is_exceeded(self) -> None:
        """Used and pending of all calls of a window never pass its cap, by the calls themselves."""
        if self.limits.concurrency is not None:
            assert self.usage.live <= self.limits.concurrency
        for cap in self.limits.caps:
            for start in {call.starts[cap.period] for call in self.booked}:
                taken = sum(
                    call.change.used[cap.measure] + call.change.pending[cap.measure]
                    for call in self.booked
                    if call.starts[cap.period] == start
                )
                assert taken <= cap.limit

    @invariant()
    def live_calls_are_those_that_are_held(self) -> None:
        """A slot is taken and given back exactly once."""
        assert self.usage.live == len(self.held)

    @invariant()
    def the_total_is_the_sum_of_its_calls(self) -> None:
        """Nothing is lost in a window that lasts."""
        total = self.usage.periods[Period.TOTAL].current
        for measure in Measure:
            assert total.used[measure] == sum(call.change.used[measure] for call in self.booked)
            assert total.pending[measure] == sum(
                call.change.pending[measure] for call in self.booked
            )


OwnerMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestOwner = OwnerMachine.TestCase


@given(st.lists(UNITS, max_size=6), UNITS)
def test_a_hold_and_its_release_lead_back_to_the_start(before: list[Units], units: Units) -> None:
    starts = starts_at(0)
    usage = apply(Usage(), starts, Change())
    for earlier in before:
        usage = apply(usage, starts, held_by(earlier))
    change = held_by(units)
    there = apply(usage, starts, change)
    assert apply(there, starts, difference(change, Change())) == usage
