"""Cap accounting: what fits, and what each step of a call's life changes."""

import pytest

from auction.domain.ids import OwnerId
from auction.domain.reasons import Reason
from auction.domain.terms import Cap, Measure, OwnerLimits, Period
from auction.domain.usage import (
    NOTHING,
    Change,
    Starts,
    Units,
    Usage,
    WindowCount,
    apply,
    difference,
    held_by,
    minus,
    only,
    plus,
    refusal,
    window_at,
)
from tests.builders import NEW_YORK

HOUR, DAY, MONTH = 3600, 86_400, 2_592_000
NOW: Starts = (10 * HOUR, DAY, MONTH, 0)
NEXT_HOUR: Starts = (11 * HOUR, DAY, MONTH, 0)
LATER: Starts = (12 * HOUR, DAY, MONTH, 0)
ONE: Units = (1, 1, 1, 520_000)


def limits(*caps: Cap, concurrency: int | None = None) -> OwnerLimits:
    """An offer's limits."""
    return OwnerLimits(OwnerId("offer:a"), NEW_YORK, concurrency, caps)


def held(calls: int, starts: Starts = NOW) -> Usage:
    """The usage with so many calls pending and live."""
    units: Units = (calls, calls, calls, 520_000 * calls)
    return apply(Usage(), starts, Change(calls, pending=units))


@pytest.mark.parametrize("period", list(Period))
def test_a_cap_refuses_what_goes_beyond_it(period: Period) -> None:
    two = limits(Cap(Measure.CALLS, period, 2))
    assert refusal(held(1), two, NOW, ONE) is None
    assert refusal(held(2), two, NOW, ONE) is Reason.CAP_REACHED


def test_pending_and_used_count_alike() -> None:
    usage = apply(held(1), NOW, Change(used=(1, 0, 0, 0)))
    assert refusal(usage, limits(Cap(Measure.CALLS, Period.DAY, 2)), NOW, ONE) is Reason.CAP_REACHED


def test_a_revenue_cap_may_be_filled_but_not_passed() -> None:
    assert refusal(held(1), limits(Cap(Measure.REVENUE, Period.DAY, 1_040_000)), NOW, ONE) is None
    tight = limits(Cap(Measure.REVENUE, Period.DAY, 1_039_999))
    assert refusal(held(1), tight, NOW, ONE) is Reason.CAP_REACHED


def test_concurrency_refuses_one_live_call_too_many() -> None:
    assert refusal(held(1), limits(concurrency=2), NOW, ONE) is None
    assert refusal(held(2), limits(concurrency=2), NOW, ONE) is Reason.CONCURRENCY_FULL


def test_a_cap_is_named_before_concurrency() -> None:
    both = limits(Cap(Measure.CALLS, Period.DAY, 2), concurrency=2)
    assert refusal(held(2), both, NOW, ONE) is Reason.CAP_REACHED


def test_a_new_window_starts_empty_and_keeps_the_one_before() -> None:
    cap = limits(Cap(Measure.CALLS, Period.HOUR, 2))
    assert refusal(held(2), cap, NEXT_HOUR, ONE) is None
    usage = apply(held(2), NEXT_HOUR, Change(1, pending=ONE))
    assert usage.periods[Period.HOUR].current == WindowCount(11 * HOUR, pending=ONE)
    assert usage.periods[Period.HOUR].previous.pending[Measure.CALLS] == 2
    assert usage.periods[Period.DAY].current.pending[Measure.CALLS] == 3


def test_a_call_from_before_the_boundary_is_judged_by_its_own_window() -> None:
    cap = limits(Cap(Measure.CALLS, Period.HOUR, 2))
    usage = apply(held(2), NEXT_HOUR, Change(1, pending=ONE))
    assert refusal(usage, cap, NOW, ONE) is Reason.CAP_REACHED
    settled = apply(usage, NOW, Change(-2, pending=(-2, -2, -2, -1_040_000)))
    assert settled.periods[Period.HOUR].previous.pending == NOTHING
    assert settled.periods[Period.HOUR].current.pending == ONE


def test_a_window_that_is_gone_takes_nothing_and_is_not_touched() -> None:
    usage = apply(held(2), LATER, Change(1, pending=ONE))
    usage = apply(usage, (13 * HOUR, DAY, MONTH, 0), Change())
    cap = limits(Cap(Measure.CALLS, Period.HOUR, 99))
    assert refusal(usage, cap, NOW, ONE) is Reason.CAP_REACHED
    after = apply(usage, NOW, Change(-2, used=ONE, pending=(-1, -1, -1, -520_000)))
    assert after.periods[Period.HOUR] == usage.periods[Period.HOUR]
    assert after.live == 1


def test_a_window_between_the_two_that_are_kept_opens_late() -> None:
    usage = apply(held(1), LATER, Change(1, pending=ONE))
    assert window_at(usage.periods[Period.HOUR], 11 * HOUR) == WindowCount(11 * HOUR)
    usage = apply(usage, NEXT_HOUR, Change(1, pending=ONE))
    hours = usage.periods[Period.HOUR]
    assert hours.current == WindowCount(12 * HOUR, pending=ONE)
    assert hours.previous == WindowCount(11 * HOUR, pending=ONE)
    assert window_at(hours, 10 * HOUR) is None


def test_a_route_uses_its_call_at_once_and_holds_the_rest() -> None:
    assert held_by(ONE) == Change(1, (1, 0, 0, 0), (0, 1, 1, 520_000))


def test_the_difference_of_two_holds_leads_from_one_to_the_other() -> None:
    before, after = held_by(ONE), Change(0, (1, 1, 1, 520_000), NOTHING)
    step = difference(before, after)
    assert before.live + step.live == after.live
    assert plus(before.used, step.used) == after.used
    assert plus(before.pending, step.pending) == after.pending
    assert minus(after.used, step.used) == before.used


def test_the_window_asked_for_is_told_apart() -> None:
    period = apply(held(1), NEXT_HOUR, Change()).periods[Period.HOUR]
    assert window_at(period, 11 * HOUR) == period.current
    assert window_at(period, 10 * HOUR) == period.previous
    assert window_at(period, 12 * HOUR) == WindowCount(12 * HOUR)
    assert window_at(period, 9 * HOUR) is None


def test_a_hold_given_back_leaves_nothing() -> None:
    after = apply(held(1), NOW, Change(-1, pending=(-1, -1, -1, -520_000)))
    assert after.live == 0
    assert all(period.current.pending == NOTHING for period in after.periods)


@pytest.mark.parametrize("measure", list(Measure))
def test_units_of_one_measure_are_zero_elsewhere(measure: Measure) -> None:
    units = only(measure, 7)
    assert units[measure] == 7
    assert sum(units) == 7
