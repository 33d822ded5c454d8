"""Business hours: weekly ranges in a time zone, with closed dates."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from auction.domain.reasons import Reason

MinuteRange = tuple[int, int]
"""Start and end in minutes from the midnight before it; the end may be past 1440."""

Day = tuple[MinuteRange, ...]
Week = tuple[Day, Day, Day, Day, Day, Day, Day]
"""The ranges of each day in order of start, Monday first."""

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTES_PER_DAY: Final = 1440
ALWAYS_OPEN: Final[Week] = (((0, MINUTES_PER_DAY),),) * 7

_RANGE: Final = re.compile(r"(\d{1,2}):(\d\d)\s*-\s*(\d{1,2}):(\d\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Hours:
    """When an offer takes calls, by the wall clock of ``zone``; closed dates are local."""

    zone: ZoneInfo
    weekly: Week = ALWAYS_OPEN
    closed_dates: frozenset[date] = frozenset()


def refusal(hours: Hours, at: datetime) -> Reason | None:
    """Why no call is taken at this moment: HOLIDAY, CLOSED, or None when it is open.

    The local date decides on a closed date, also for a range that began the day before.
    """
    local = at.astimezone(hours.zone)
    if local.date() in hours.closed_dates:
        return Reason.HOLIDAY
    minute, day = local.hour * 60 + local.minute, local.weekday()
    if _within(hours.weekly[day], minute):
        return None
    return None if _within(hours.weekly[day - 1], minute + MINUTES_PER_DAY) else Reason.CLOSED


def _within(ranges: Day, minute: int) -> bool:
    return any(start <= minute < end for start, end in ranges)


def parse_weekly(weekly: Mapping[str, Sequence[str]]) -> Week:
    """The week that a configuration names: days or ranges of days to lists of ``HH:MM-HH:MM``.

    ``mon-fri`` names five days and ``fri-mon`` four; ``24:00`` ends a day; a range that ends before
    it starts crosses midnight and belongs to the day it starts on. Days not named are closed.
    Raises ValueError for an unknown day, an unreadable or empty range, and ranges of one day that
    overlap.
    """
    days: list[list[MinuteRange]] = [[] for _ in DAYS]
    for key, texts in weekly.items():
        ranges = [_parse_range(text) for text in texts]
        for day in _parse_days(key):
            days[day].extend(ranges)
    mon, tue, wed, thu, fri, sat, sun = (
        _in_order(name, ranges) for name, ranges in zip(DAYS, days, strict=True)
    )
    return (mon, tue, wed, thu, fri, sat, sun)


def _parse_days(key: str) -> Iterable[int]:
    first, dash, last = (part.strip() for part in key.lower().partition("-"))
    names = (first, last) if dash else (first, first)
    unknown = next((name for name in names if name not in DAYS), None)
    if unknown is not None:
        raise ValueError(f"{unknown!r} is no day: use {', '.join(DAYS)} or a range such as mon-fri")
    start, end = (DAYS.index(name) for name in names)
    return [day % 7 for day in range(start, end + 1 if end >= start else end + 8)]


def _parse_range(text: str) -> MinuteRange:
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no range of hours: write it as 08:00-18:00")
    from_hour, from_minute, to_hour, to_minute = (int(part) for part in match.groups())
    start, end = from_hour * 60 + from_minute, to_hour * 60 + to_minute
    if max(from_minute, to_minute) > 59 or start >= MINUTES_PER_DAY or end > MINUTES_PER_DAY:
        raise ValueError(f"{text!r} is no range of hours: times go from 00:00 to 24:00")
    if start == end:
        raise ValueError(f"{text!r} is empty: the whole day is 00:00-24:00")
    return (start, end if end > start else end + MINUTES_PER_DAY)


def _in_order(day: str, ranges: list[MinuteRange]) -> Day:
    ranges.sort()
    for earlier, later in pairwise(ranges):
        if later[0] < earlier[1]:
            raise ValueError(f"{day}: {_text(earlier)} and {_text(later)} overlap")
    return tuple(ranges)


def _text(minutes: MinuteRange) -> str:
    start, end = minutes
    if end > MINUTES_PER_DAY:
        end -= MINUTES_PER_DAY
    return f"{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}"
