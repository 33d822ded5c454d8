"""Where cap windows start: absolute instants, by the wall clock of the cap's zone.

A window never starts before the one ahead of it and each instant is in exactly one window per
period, whatever the clock does: an hour that a change repeats is two windows, a day whose midnight
comes twice starts at the first, a day without a midnight starts at the change, and every change of
the offset starts an hour.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from auction.domain.terms import Period
from auction.domain.usage import Starts

_HOUR: Final = 3600
_ONE_DAY: Final = timedelta(days=1)
_PAST_ANY_MONTH: Final = timedelta(days=31)


@dataclass(frozen=True, slots=True)
class _HourWindow:
    """The starts that hold from ``start`` until before ``end`` (Unix seconds)."""

    start: int
    end: int
    starts: Starts


_LATEST: Final[dict[ZoneInfo, _HourWindow]] = {}
"""The window last asked for in each zone: nearly every call falls into the same one."""


def window_starts(at: datetime, zone: ZoneInfo) -> Starts:
    """When the hour, day and month of ``at`` began in ``zone`` (Unix seconds), 0 for the total."""
    return _hour_window(at.timestamp(), zone).starts


def resets_at(period: Period, at: datetime, zone: ZoneInfo) -> datetime | None:
    """When the window that holds ``at`` ends (UTC); None for the total, which never does."""
    window = _hour_window(at.timestamp(), zone)
    if period is Period.TOTAL:
        return None
    if period is Period.HOUR:
        return _instant(window.end)
    return _instant(_next_start(window.starts[period], zone, _OPENERS[period]))


def _hour_window(moment: float, zone: ZoneInfo) -> _HourWindow:
    latest = _LATEST.get(zone)
    if latest is None or not latest.start <= moment < latest.end:
        latest = _LATEST[zone] = _compute(int(moment // 1), zone)
    return latest


def _compute(moment: int, zone: ZoneInfo) -> _HourWindow:
    start, end = _hour(moment, zone)
    day = _start(moment, zone, _day_opening)
    month = _start(moment, zone, _month_opening)
    return _HourWindow(start, end, (start, day, month, 0))


def _hour(moment: int, zone: ZoneInfo) -> tuple[int, int]:
    """The hour that holds a moment, cut short where the offset changes within it."""
    offset = _offset(moment, zone)
    start = moment - (moment + offset) % _HOUR
    end = start + _HOUR
    if _offset(start, zone) != offset:
        start = _change(start, moment, zone)
    if _offset(end, zone) != offset:
        end = _change(moment, end, zone)
    return start, end


def _offset(moment: int, zone: ZoneInfo) -> int:
    return _seconds(datetime.fromtimestamp(moment, zone).utcoffset())


def _seconds(offset: timedelta | None) -> int:
    return int((offset or timedelta(0)).total_seconds())


def _change(before: int, after: int, zone: ZoneInfo) -> int:
    """The first second with the offset of ``after``, which differs from that of ``before``."""
    offset = _offset(after, zone)
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(middle, zone) == offset:
            after = middle
        else:
            before = middle
    return after


_Opening = Callable[[date, int], date]
"""The first local date of the period that lies so many periods after the one of a date."""


def _day_opening(day: date, periods: int) -> date:
    return day + periods * _ONE_DAY


def _month_opening(day: date, periods: int) -> date:
    first = day.replace(day=1)
    return first if periods == 0 else (first + _PAST_ANY_MONTH).replace(day=1)


_OPENERS: Final[dict[Period, _Opening]] = {Period.DAY: _day_opening, Period.MONTH: _month_opening}


def _start(moment: int, zone: ZoneInfo, opening: _Opening) -> int:
    """The latest opening midnight that is not after the moment."""
    today = datetime.fromtimestamp(moment, zone).date()
    following = _midnight(opening(today, 1), zone)
    # When the clock goes back over midnight the date does too; the day that has begun goes on.
    return following if following <= moment else _midnight(opening(today, 0), zone)


def _next_start(start: int, zone: ZoneInfo, opening: _Opening) -> int:
    return _midnight(opening(datetime.fromtimestamp(start, zone).date(), 1), zone)


def _midnight(day: date, zone: ZoneInfo) -> int:
    """When a local date begins: its first midnight, or the change that leaps over it."""
    wall = datetime(day.year, day.month, day.day, tzinfo=zone)
    early = int(wall.timestamp())
    if datetime.fromtimestamp(early, zone).replace(tzinfo=None) == wall.replace(tzinfo=None):
        return early
    late = int(wall.replace(fold=1).timestamp())
    return _change(min(early, late) - 1, max(early, late), zone)


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
