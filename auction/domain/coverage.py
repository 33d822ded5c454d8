"""Where and when a campaign has somebody to take its calls: states and the hours of one week."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from auction.domain.area_codes import area_codes_of
from auction.domain.call import Call, Caller
from auction.domain.eligibility import switched_off
from auction.domain.filters import Filter, matches
from auction.domain.hours import MINUTES_PER_DAY, Hours, MinuteRange, Week
from auction.domain.ids import CallId, OfferId
from auction.domain.terms import Campaign, OfferTerms

HOURS: Final = 168
"""Of a week, from Monday's first on, by the wall clock of the zone it is looked at in."""

ALL_WEEK: Final = (1 << HOURS) - 1

_OF_CALLER: Final = "caller."
_AREA_CODE: Final = "caller.area_code"


@dataclass(frozen=True, slots=True)
class OfferCoverage:
    """One offer: bit n of ``hours`` stands for the week's hour n, open for some of it at least.

    ``states``: whose callers its filters on the caller let through. Other fields of a call, caps
    and the rules of single numbers are not looked at.
    """

    offer: OfferId
    hours: int
    states: frozenset[str]

    def open_at(self, state: str, hour: int) -> bool:
        """Whether callers of a state are taken in this hour of the week."""
        return state in self.states and bool(self.hours >> hour & 1)


def coverage(
    campaign: Campaign, zone: ZoneInfo, monday: date, states: Sequence[str]
) -> tuple[OfferCoverage, ...]:
    """Every offer that takes calls at all, in order of id, in the week that begins on ``monday``.

    Closed dates of that week count, and so do clock changes.
    """
    slots = _slots(zone, monday)
    known: dict[Hours, int] = {}
    found: list[OfferCoverage] = []
    for offer in campaign.offers:
        if switched_off(offer) is not None:
            continue
        if offer.hours is not None and offer.hours not in known:
            known[offer.hours] = _open_hours(offer.hours, slots, monday)
        hours = ALL_WEEK if offer.hours is None else known[offer.hours]
        taken = frozenset(state for state in states if _takes(offer, state))
        found.append(OfferCoverage(offer.id, hours, taken))
    return tuple(found)


def _slots(zone: ZoneInfo, monday: date) -> list[datetime]:
    """When the hours of the week begin, and when the last one ends."""
    first = datetime.combine(monday, time())
    return [
        (first + timedelta(hours=hour)).replace(tzinfo=zone).astimezone(UTC)
        for hour in range(HOURS + 1)
    ]


def _open_hours(hours: Hours, slots: Sequence[datetime], monday: date) -> int:
    opened = 0
    for begin, end in _openings(hours, monday):
        first = bisect_right(slots, begin) - 1
        last = bisect_left(slots, end)
        for hour in range(max(first, 0), min(last, HOURS)):
            opened |= 1 << hour
    return opened


def _openings(hours: Hours, monday: date) -> Iterator[tuple[datetime, datetime]]:
    """When it is open, day by day; a week begins within a day of another zone's."""
    for number in range(-1, 9):
        day = monday + timedelta(days=number)
        if day in hours.closed_dates:
            continue
        for minutes in _ranges_on(hours.weekly, day.weekday()):
            yield _moments(hours.zone, day, minutes)


def _ranges_on(week: Week, weekday: int) -> Iterator[MinuteRange]:
    """The open minutes of a day, what began the day before included."""
    for start, end in week[weekday]:
        yield start, min(end, MINUTES_PER_DAY)
    for _, end in week[weekday - 1]:
        if end > MINUTES_PER_DAY:
            yield 0, end - MINUTES_PER_DAY


def _moments(zone: ZoneInfo, day: date, minutes: MinuteRange) -> tuple[datetime, datetime]:
    midnight = datetime.combine(day, time())
    begin, end = (
        (midnight + timedelta(minutes=minute)).replace(tzinfo=zone).astimezone(UTC)
        for minute in minutes
    )
    return begin, end


def _takes(offer: OfferTerms, state: str) -> bool:
    """Whether some caller of the state meets every filter on the caller."""
    filters = [each for each in offer.filters if each.field.startswith(_OF_CALLER)]
    kept_out = [each.when for each in offer.outside if _only_of_caller(each.when)]
    asked = {each.field for when in (filters, *kept_out) for each in when}
    codes = area_codes_of(state) if _AREA_CODE in asked else (None,)
    return any(_lets_through(filters, kept_out, _from(state, code)) for code in codes)


def _only_of_caller(filters: Sequence[Filter]) -> bool:
    return bool(filters) and all(each.field.startswith(_OF_CALLER) for each in filters)


def _lets_through(
    filters: Sequence[Filter], kept_out: Sequence[Sequence[Filter]], call: Call
) -> bool:
    return all(matches(each, call) for each in filters) and not any(
        all(matches(each, call) for each in when) for when in kept_out
    )


def _from(state: str, area_code: str | None) -> Call:
    caller = Caller(area_code=area_code, state=state, country="US")
    return Call(CallId("coverage"), None, None, caller, None, {}, _SOME_TIME)


_SOME_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC)
