"""Cap and concurrency accounting: pure functions over one owner's usage row.

Every owner counts every measure in every period, capped or not, so that a cap added in mid-window
starts from the calls already counted. The window before the current one is kept, so that a call
which arrived just before a boundary is still judged by, and settled in, the window of its arrival.
"""

from dataclasses import dataclass

from auction.domain.reasons import Reason
from auction.domain.terms import Cap, Measure, OwnerLimits
from auction.domain.value import value

Units = tuple[int, int, int, int]
"""One number per ``Measure``: counts, and revenue in ten-thousandths of the currency."""

Starts = tuple[int, int, int, int]
"""The start of a call's window per ``Period``, in Unix seconds; 0 for the total."""

NOTHING: Units = (0, 0, 0, 0)


@value(frozen=True, slots=True)
class WindowCount:
    """What is used and pending in the window that starts at ``start``."""

    start: int
    used: Units = NOTHING
    pending: Units = NOTHING


@value(frozen=True, slots=True)
class PeriodUsage:
    """The current window of a period and the one before it."""

    current: WindowCount
    previous: WindowCount


_EMPTY = WindowCount(0)
_EMPTY_PERIOD = PeriodUsage(_EMPTY, _EMPTY)


@value(frozen=True, slots=True)
class Usage:
    """An owner's live calls and counts, one entry per ``Period``."""

    live: int = 0
    periods: tuple[PeriodUsage, PeriodUsage, PeriodUsage, PeriodUsage] = (
        _EMPTY_PERIOD,
        _EMPTY_PERIOD,
        _EMPTY_PERIOD,
        _EMPTY_PERIOD,
    )


@dataclass(slots=True)
class UsageReading:
    """An owner's usage as last seen, and when (monotonic seconds)."""

    usage: Usage
    seen_at: float


@value(frozen=True, slots=True)
class Change:
    """What one step of one call's life adds to an owner's usage (negative: gives back)."""

    live: int = 0
    used: Units = NOTHING
    pending: Units = NOTHING


def refusal(usage: Usage, limits: OwnerLimits, starts: Starts, units: Units) -> Reason | None:
    """Why ``units`` and one live call more do not fit under the limits; None when they fit.

    Pending counts as used. A call whose window is older than both windows kept is refused: nothing
    could prove that it fits.
    """
    if reached_cap(usage, limits, starts, units) is not None:
        return Reason.CAP_REACHED
    return Reason.CONCURRENCY_FULL if is_full(usage, limits) else None


def reached_cap(usage: Usage, limits: OwnerLimits, starts: Starts, units: Units) -> Cap | None:
    """The first cap under which ``units`` more do not fit; None when they fit under all."""
    for cap in limits.caps:
        window = window_at(usage.periods[cap.period], starts[cap.period])
        if window is None:
            return cap
        taken = window.used[cap.measure] + window.pending[cap.measure]
        if taken + units[cap.measure] > cap.limit:
            return cap
    return None


def is_full(usage: Usage, limits: OwnerLimits) -> bool:
    """Whether as many calls are live as may be."""
    return limits.concurrency is not None and usage.live >= limits.concurrency


def window_at(period: PeriodUsage, start: int) -> WindowCount | None:
    """The counts of the window that starts then: kept, empty when never opened, or None when gone.

    Windows that are gone all lie before the previous one, so one between the two was never opened.
    """
    if start == period.current.start:
        return period.current
    if start == period.previous.start:
        return period.previous
    return WindowCount(start) if start > period.previous.start else None


def apply(usage: Usage, starts: Starts, change: Change) -> Usage:
    """The usage after a change: a window not opened yet opens, one that is gone is not touched."""
    hour, day, month, total = usage.periods
    return Usage(
        usage.live + change.live,
        (
            _apply_period(hour, starts[0], change),
            _apply_period(day, starts[1], change),
            _apply_period(month, starts[2], change),
            _apply_period(total, starts[3], change),
        ),
    )


def _apply_period(period: PeriodUsage, start: int, change: Change) -> PeriodUsage:
    current, previous = period.current, period.previous
    if start == current.start:
        return PeriodUsage(_changed(current, change), previous)
    if start > current.start:
        return PeriodUsage(_changed(WindowCount(start), change), current)
    if start == previous.start:
        return PeriodUsage(current, _changed(previous, change))
    if start > previous.start:
        return PeriodUsage(current, _changed(WindowCount(start), change))
    return period


def _changed(window: WindowCount, change: Change) -> WindowCount:
    return WindowCount(
        window.start, plus(window.used, change.used), plus(window.pending, change.pending)
    )


def plus(left: Units, right: Units) -> Units:
    """Measure by measure."""
    return (left[0] + right[0], left[1] + right[1], left[2] + right[2], left[3] + right[3])


def minus(left: Units, right: Units) -> Units:
    """Measure by measure."""
    return (left[0] - right[0], left[1] - right[1], left[2] - right[2], left[3] - right[3])


def held_by(units: Units) -> Change:
    """What a route holds from its reservation on: a live call, the call used, all else pending."""
    return Change(1, (units[0], 0, 0, 0), (0, units[1], units[2], units[3]))


def difference(before: Change, after: Change) -> Change:
    """What must be added to a counter that holds ``before`` so that it holds ``after``."""
    return Change(
        after.live - before.live,
        minus(after.used, before.used),
        minus(after.pending, before.pending),
    )


def only(measure: Measure, amount: int) -> Units:
    """Units with one measure set."""
    return (
        amount if measure is Measure.CALLS else 0,
        amount if measure is Measure.ANSWERED else 0,
        amount if measure is Measure.CONVERSIONS else 0,
        amount if measure is Measure.REVENUE else 0,
    )
