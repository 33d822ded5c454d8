"""An owner's usage as the 64 numbers of its row.

Live calls first; then for hour, day and month the current and the previous window, then the total.
A window is its start, its four used counts and its four pending counts.
"""

from collections.abc import Sequence
from typing import Final

from auction.domain.usage import PeriodUsage, Usage, WindowCount

LENGTH: Final = 64
ZEROS: Final = [0] * LENGTH


def decode(counters: Sequence[int]) -> Usage:
    """The usage that a row's counters tell."""
    total = PeriodUsage(_window(counters, 55), WindowCount(0))
    return Usage(
        counters[0], (_period(counters, 1), _period(counters, 19), _period(counters, 37), total)
    )


def encode(usage: Usage) -> list[int]:
    """The counters of a row. The total has one window: its previous one is always empty."""
    hour, day, month, total = usage.periods
    counters = [usage.live]
    for window in (
        hour.current,
        hour.previous,
        day.current,
        day.previous,
        month.current,
        month.previous,
        total.current,
    ):
        counters += (window.start, *window.used, *window.pending)
    return counters


def _period(counters: Sequence[int], at: int) -> PeriodUsage:
    return PeriodUsage(_window(counters, at), _window(counters, at + 9))


def _window(counters: Sequence[int], at: int) -> WindowCount:
    start, u0, u1, u2, u3, p0, p1, p2, p3 = counters[at : at + 9]
    return WindowCount(start, (u0, u1, u2, u3), (p0, p1, p2, p3))
