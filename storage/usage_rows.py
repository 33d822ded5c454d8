"""An owner's usage as the 64 numbers of its row.

Live calls first; then for hour, day and month the current and the previous window, then the total.
A window is its start, its four used counts and its four pending counts.
"""

from collections.abc import Sequence
from typing import Any, Final

import orjson

from auction.domain.usage import PeriodUsage, Usage, WindowCount

LENGTH: Final = 64
ZEROS: Final = [0] * LENGTH

_NONE: Final = WindowCount(0)


def decode(counters: Sequence[int]) -> Usage:
    """The usage that a row's counters tell."""
    row = tuple(counters)
    total = PeriodUsage(_window(row, 55), _NONE)
    return Usage(row[0], (_period(row, 1), _period(row, 19), _period(row, 37), total))


def read_counters(text: str) -> Usage:
    """The usage that a row's counters tell, in the form of an array's text."""
    return decode(orjson.loads(f"[{text[1:-1]}]"))


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


def _period(row: tuple[int, ...], at: int) -> PeriodUsage:
    return PeriodUsage(_window(row, at), _window(row, at + 9))


def _window(row: tuple[int, ...], at: int) -> WindowCount:
    used: Any = row[at + 1 : at + 5]
    pending: Any = row[at + 5 : at + 9]
    return WindowCount(row[at], used, pending)
