"""Business hours by the wall clock of a zone."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from auction.domain.hours import ALWAYS_OPEN, Hours, parse_weekly, refusal, weekly_faults
from auction.domain.reasons import Reason

NEW_YORK = ZoneInfo("America/New_York")


def at(text: str, zone: ZoneInfo = NEW_YORK, fold: int = 0) -> datetime:
    """A wall-clock time in a zone, as the instant in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).astimezone(UTC)


def hours(*closed: date, zone: ZoneInfo = NEW_YORK, **weekly: str) -> Hours:
    """Hours whose keywords are days; underscores stand for dashes."""
    week = {key.replace("_", "-"): text.split() for key, text in weekly.items()}
    return Hours(zone, parse_weekly(week), frozenset(closed))


@pytest.mark.parametrize(
    ("moment", "reason"),
    [
        ("2026-11-20T07:59:59", Reason.CLOSED),
        ("2026-11-20T08:00:00", None),
        ("2026-11-20T17:59:59", None),
        ("2026-11-20T18:00:00", Reason.CLOSED),
        ("2026-11-21T12:00:00", Reason.CLOSED),
    ],
)
def test_a_range_includes_its_start_and_not_its_end(moment: str, reason: Reason | None) -> None:
    assert refusal(hours(mon_fri="08:00-18:00"), at(moment)) is reason


def test_hours_follow_their_own_zone() -> None:
    chicago = hours(fri="08:00-18:00", zone=ZoneInfo("America/Chicago"))
    assert refusal(chicago, at("2026-11-20T08:30")) is Reason.CLOSED
    assert refusal(chicago, at("2026-11-20T18:30")) is None


def test_a_range_over_midnight_belongs_to_the_day_it_starts() -> None:
    night = hours(fri="22:00-06:00")
    assert refusal(night, at("2026-11-20T05:00")) is Reason.CLOSED
    assert refusal(night, at("2026-11-20T23:00")) is None
    assert refusal(night, at("2026-11-21T05:59")) is None
    assert refusal(night, at("2026-11-21T06:00")) is Reason.CLOSED
    assert refusal(night, at("2026-11-21T22:30")) is Reason.CLOSED


def test_a_range_over_midnight_from_sunday_reaches_into_monday() -> None:
    night = hours(sun="22:00-06:00")
    assert refusal(night, at("2026-11-23T03:00")) is None


def test_a_day_may_have_several_ranges() -> None:
    split = hours(fri="08:00-12:00 13:00-18:00")
    assert refusal(split, at("2026-11-20T12:30")) is Reason.CLOSED
    assert refusal(split, at("2026-11-20T13:30")) is None


def test_an_hour_that_the_clock_repeats_is_open_twice() -> None:
    early = hours(sun="01:00-02:00")
    assert refusal(early, at("2026-11-01T01:30", fold=0)) is None
    assert refusal(early, at("2026-11-01T01:30", fold=1)) is None
    assert refusal(early, at("2026-11-01T02:00")) is Reason.CLOSED


def test_an_hour_that_the_clock_skips_is_never_open() -> None:
    skipped = hours(sun="02:00-03:00")
    assert refusal(skipped, datetime(2026, 3, 8, 6, 59, 59, tzinfo=UTC)) is Reason.CLOSED
    assert refusal(skipped, datetime(2026, 3, 8, 7, 0, tzinfo=UTC)) is Reason.CLOSED


def test_a_closed_date_is_a_holiday() -> None:
    thanksgiving = hours(date(2026, 11, 26), mon_sun="00:00-24:00")
    assert refusal(thanksgiving, at("2026-11-25T23:59:59")) is None
    assert refusal(thanksgiving, at("2026-11-26T00:00")) is Reason.HOLIDAY
    assert refusal(thanksgiving, at("2026-11-26T23:59:59")) is Reason.HOLIDAY
    assert refusal(thanksgiving, at("2026-11-27T00:00")) is None


def test_a_range_that_runs_into_a_closed_date_ends_at_midnight() -> None:
    night = hours(date(2026, 11, 26), mon_sun="22:00-06:00")
    assert refusal(night, at("2026-11-25T23:30")) is None
    assert refusal(night, at("2026-11-26T01:00")) is Reason.HOLIDAY


def test_always_open_is_open_at_any_time() -> None:
    assert refusal(Hours(NEW_YORK), at("2026-11-22T03:00")) is None
    assert parse_weekly({"mon-sun": ["00:00-24:00"]}) == ALWAYS_OPEN


def test_days_not_named_are_closed() -> None:
    assert parse_weekly({}) == ((), (), (), (), (), (), ())
    assert parse_weekly({"mon": []})[0] == ()


def test_a_range_of_days_may_wrap_over_the_weekend() -> None:
    week = parse_weekly({"fri-mon": ["08:00-18:00"]})
    assert [bool(day) for day in week] == [True, False, False, False, True, True, True]


def test_keys_are_read_without_regard_to_case_and_blanks() -> None:
    week = parse_weekly({" Mon - TUE ": [" 8:00 - 18:00 "]})
    assert week[0] == week[1] == ((480, 1080),)


def test_minutes_go_to_fifty_nine() -> None:
    assert parse_weekly({"mon": ["08:59-18:59"]})[0] == ((539, 1139),)


def test_several_keys_may_name_one_day() -> None:
    assert parse_weekly({"mon-fri": ["13:00-18:00"], "wed": ["08:00-13:00"]})[2] == (
        (480, 780),
        (780, 1080),
    )


@pytest.mark.parametrize(
    ("weekly", "message"),
    [
        ({"someday": ["08:00-18:00"]}, "'someday' is no day"),
        ({"mon-": ["08:00-18:00"]}, "'' is no day"),
        ({"": ["08:00-18:00"]}, "'' is no day"),
        ({"mon": ["08:00"]}, "'08:00' is no range of hours"),
        ({"mon": ["8-18"]}, "write it as 08:00-18:00"),
        ({"mon": ["08:00-18:60"]}, "times go from 00:00 to 24:00"),
        ({"mon": ["08:60-18:00"]}, "times go from 00:00 to 24:00"),
        ({"mon": ["24:00-06:00"]}, "times go from 00:00 to 24:00"),
        ({"mon": ["08:00-24:01"]}, "times go from 00:00 to 24:00"),
        ({"mon": ["08:00-08:00"]}, "the whole day is 00:00-24:00"),
        ({"mon": ["08:00-12:00", "11:00-13:00"]}, "mon: 08:00-12:00 and 11:00-13:00 overlap"),
        ({"mon": ["20:00-06:00", "23:00-24:00"]}, "mon: 20:00-06:00 and 23:00-24:00 overlap"),
        ({"mon-fri": ["08:00-18:00"], "wed": ["09:00-10:00"]}, "wed: 08:00-18:00 and"),
    ],
)
def test_a_fault_in_the_hours_is_told(weekly: dict[str, list[str]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_weekly(weekly)


def test_every_fault_in_the_hours_is_told_with_its_place() -> None:
    weekly = {"mon": ["25:00-26:00", "8-9"], "funday": [], "tue": ["08:00-18:00"]}
    found = weekly_faults(weekly)
    assert [place for place, _ in found] == [("mon", 0), ("mon", 1), ("funday",)]


def test_ranges_that_overlap_on_several_days_are_told_once() -> None:
    weekly = {"mon-fri": ["08:00-18:00", "17:00-19:00"], "wed": ["06:00-07:00", "8-9"]}
    assert weekly_faults(weekly) == [
        (("wed", 1), "'8-9' is no range of hours: write it as 08:00-18:00"),
        (("mon-fri", 1), "mon: 08:00-18:00 and 17:00-19:00 overlap"),
    ]


def test_every_range_that_a_long_one_covers_overlaps_it() -> None:
    weekly = {"mon": ["08:00-20:00", "09:00-10:00", "11:00-12:00", "20:00-21:00"]}
    assert [place for place, _ in weekly_faults(weekly)] == [("mon", 1), ("mon", 2)]


def test_hours_without_a_fault_have_none() -> None:
    assert weekly_faults({"mon-fri": ["22:00-06:00"], "sun": []}) == []
