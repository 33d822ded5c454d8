"""Business hours: weekly ranges in a time zone, with closed dates."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import accumulate
from typing import Final, TypeVar
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

LocalMoment = tuple[date, int, int]
"""A local date, its weekday (Monday is 0) and the minute of the day."""

Read = TypeVar("Read")

WeeklyFault = tuple[tuple[str | int, ...], str]
"""Where below the weekly hours (a key, or a key and the number of a range) what is wrong."""

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
    return refusal_at(hours, local_moment(at, hours.zone))


def local_moment(at: datetime, zone: ZoneInfo) -> LocalMoment:
    """What the wall clock of ``zone`` shows."""
    local = at.astimezone(zone)
    return local.date(), local.weekday(), local.hour * 60 + local.minute


def refusal_at(hours: Hours, moment: LocalMoment) -> Reason | None:
    """As ``refusal``, for a moment by the wall clock of the hours' own zone."""
    today, day, minute = moment
    if today in hours.closed_dates:
        return Reason.HOLIDAY
    if _within(hours.weekly[day], minute):
        return None
    return None if _within(hours.weekly[day - 1], minute + MINUTES_PER_DAY) else Reason.CLOSED


def _within(ranges: Day, minute: int) -> bool:
    return any(start <= minute < end for start, end in ranges)


def parse_weekly(weekly: Mapping[str, Sequence[str]]) -> Week:
    """The week that a configuration names: days or ranges of days to lists of ``HH:MM-HH:MM``.

    ``mon-fri`` names five days and ``fri-mon`` four; ``24:00`` ends a day; a range that ends before
    it starts crosses midnight and belongs to the day it starts on. Days not named are closed.
    Raises ValueError with the first of ``weekly_faults``.
    """
    days, faults = _read_days(weekly)
    wrong = faults or _overlaps(days)
    if wrong:
        raise ValueError(wrong[0][1])
    mon, tue, wed, thu, fri, sat, sun = (tuple(each.minutes for each in day) for day in days)
    return (mon, tue, wed, thu, fri, sat, sun)


def weekly_faults(weekly: Mapping[str, Sequence[str]]) -> list[WeeklyFault]:
    """Every unknown day, unreadable or empty range, and ranges of one day that overlap.

    An overlap stands at the later range of the two, once however many days it is on.
    """
    days, faults = _read_days(weekly)
    return [*faults, *_overlaps(days)]


@dataclass(frozen=True, slots=True, order=True)
class _Placed:
    """A range and where it is written."""

    minutes: MinuteRange
    place: tuple[str, int]


def _read_days(
    weekly: Mapping[str, Sequence[str]],
) -> tuple[list[list[_Placed]], list[WeeklyFault]]:
    """The readable ranges of each day in order of start, and the faults of the others."""
    days: list[list[_Placed]] = [[] for _ in DAYS]
    faults: list[WeeklyFault] = []
    for key, texts in weekly.items():
        named = _parsed(_parse_days, key, (key,), faults) or ()
        for number, text in enumerate(texts):
            minutes = _parsed(_parse_range, text, (key, number), faults)
            if minutes is not None:
                for day in named:
                    days[day].append(_Placed(minutes, (key, number)))
    return [sorted(day) for day in days], faults


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


def _parsed(
    parse: Callable[[str], Read], text: str, place: tuple[str | int, ...], faults: list[WeeklyFault]
) -> Read | None:
    """What ``parse`` makes of the text; None where that is a fault, which is noted."""
    try:
        return parse(text)
    except ValueError as error:
        faults.append((place, str(error)))
        return None


def _overlaps(days: Sequence[Sequence[_Placed]]) -> list[WeeklyFault]:
    faults: dict[tuple[str, int], str] = {}
    for name, day in zip(DAYS, days, strict=True):
        for earlier, later in zip(accumulate(day, _ends_last), day[1:], strict=False):
            if later.minutes[0] < earlier.minutes[1]:
                told = f"{name}: {_text(earlier.minutes)} and {_text(later.minutes)} overlap"
                faults.setdefault(later.place, told)
    return list(faults.items())


def _ends_last(one: _Placed, other: _Placed) -> _Placed:
    return other if other.minutes[1] > one.minutes[1] else one


def _text(minutes: MinuteRange) -> str:
    start, end = minutes
    if end > MINUTES_PER_DAY:
        end -= MINUTES_PER_DAY
    return f"{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}"
