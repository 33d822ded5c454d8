"""Which offers are open in which state and hour of the week."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auction.domain.area_codes import AMERICAN_STATES
from auction.domain.coverage import ALL_WEEK, HOURS, OfferCoverage, coverage
from auction.domain.filters import Op, prepare
from auction.domain.hours import DAYS, Hours, parse_weekly, refusal
from auction.domain.terms import OfferTerms, Segment
from tests.builders import NEW_YORK, a_campaign, an_offer

CHICAGO, LOS_ANGELES = ZoneInfo("America/Chicago"), ZoneInfo("America/Los_Angeles")
MONDAY = date(2026, 11, 23)


def covered(offer: OfferTerms, monday: date = MONDAY) -> OfferCoverage:
    """The coverage of one offer."""
    [found] = coverage(a_campaign(offer), NEW_YORK, monday, AMERICAN_STATES)
    return found


def open_hours(offer: OfferTerms, monday: date = MONDAY) -> list[int]:
    hours = covered(offer, monday).hours
    return [hour for hour in range(HOURS) if hours >> hour & 1]


def with_hours(zone: ZoneInfo = NEW_YORK, **weekly: list[str]) -> OfferTerms:
    return an_offer(hours=Hours(zone, parse_weekly(weekly)))


def filtered(field: str, op: Op, value: object) -> OfferTerms:
    return an_offer(filters=(prepare(field, op, value),))


def test_an_offer_without_hours_and_filters_is_open_everywhere_always() -> None:
    found = covered(an_offer())
    assert (found.hours, found.states) == (ALL_WEEK, frozenset(AMERICAN_STATES))
    assert found.open_at("CA", 167)


def test_hours_of_another_zone_are_shown_by_the_clock_of_the_market() -> None:
    assert open_hours(with_hours(CHICAGO, mon=["08:00-10:00"])) == [9, 10]


def test_an_hour_that_is_open_for_some_minutes_counts() -> None:
    assert open_hours(with_hours(mon=["08:50-09:10"])) == [8, 9]


def test_a_range_over_midnight_and_over_the_end_of_the_week() -> None:
    assert open_hours(with_hours(sun=["23:00-02:00"])) == [0, 1, 167]
    assert open_hours(with_hours(LOS_ANGELES, sun=["22:00-24:00"])) == [1, 2]


def test_a_closed_date_closes_its_day_in_that_week_only() -> None:
    weekly, closed = parse_weekly({"mon-sun": ["12:00-13:00"]}), frozenset({date(2026, 11, 26)})
    offer = an_offer(hours=Hours(NEW_YORK, weekly, closed))
    assert open_hours(offer) == [12, 36, 60, 108, 132, 156]
    assert len(open_hours(offer, MONDAY + timedelta(days=7))) == 7


@pytest.mark.parametrize(
    ("offer", "states"),
    [
        (filtered("caller.state", Op.IN, ["CA", "NV"]), {"CA", "NV"}),
        (filtered("caller.state", Op.EQ, "ca"), {"CA"}),
        (filtered("caller.area_code", Op.IN, ["310", "702"]), {"CA", "NV"}),
        (filtered("caller.country", Op.EQ, "CA"), set()),
        (filtered("zip_code", Op.EQ, "90210"), set(AMERICAN_STATES)),
        (an_offer(outside=(Segment("vip", (prepare("caller.state", Op.NE, "TX"),)),)), {"TX"}),
        (
            an_offer(outside=(Segment("vip", (prepare("zip_code", Op.EQ, "1"),)),)),
            set(AMERICAN_STATES),
        ),
    ],
)
def test_filters_on_the_caller_tell_the_states(offer: OfferTerms, states: set[str]) -> None:
    assert covered(offer).states == states


def test_offers_that_take_no_calls_are_not_there() -> None:
    campaign = a_campaign(an_offer("one", enabled=False), an_offer("two"))
    found = coverage(campaign, NEW_YORK, MONDAY, ["CA"])
    assert [each.offer for each in found] == ["two"]
    assert not found[0].open_at("NV", 0)


ranges = st.tuples(st.integers(0, 1439), st.integers(1, 1440)).filter(lambda r: r[0] != r[1])
weeks = st.dictionaries(st.sampled_from(DAYS), ranges.map(lambda r: [_text(*r)]), max_size=7)


def _text(start: int, end: int) -> str:
    return f"{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}"


@settings(deadline=None)
@given(weeks, st.sampled_from([NEW_YORK, CHICAGO, LOS_ANGELES, ZoneInfo("Asia/Kolkata")]))
def test_an_hour_is_covered_just_where_a_call_in_it_is_taken(
    weekly: dict[str, list[str]], zone: ZoneInfo
) -> None:
    hours = Hours(zone, parse_weekly(weekly))
    found = covered(an_offer(hours=hours)).hours
    begin = datetime(2026, 11, 23, 5, tzinfo=UTC)
    # What is open in an hour is so from its begin or from one of these; zones are 0 or 30 on.
    starts = {int(text[3:5]) for texts in weekly.values() for text in texts}
    minutes = sorted({(start + ahead) % 60 for start in {0, *starts} for ahead in (0, 30)})
    for hour in range(HOURS):
        moments = (begin + timedelta(hours=hour, minutes=minute) for minute in minutes)
        assert bool(found >> hour & 1) == any(refusal(hours, at) is None for at in moments)
