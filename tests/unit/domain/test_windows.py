"""Cap windows as absolute instants, over every kind of clock change."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from auction.domain.terms import Period
from auction.domain.windows import resets_at, window_starts

NEW_YORK = "America/New_York"


def instant(text: str) -> datetime:
    """An instant written in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def start(period: Period, text: str, zone: str) -> datetime:
    """When the window that holds an instant began."""
    return datetime.fromtimestamp(window_starts(instant(text), ZoneInfo(zone))[period], UTC)


@pytest.mark.parametrize(
    ("period", "began", "ends"),
    [
        (Period.HOUR, "2026-11-20T17:00", "2026-11-20T18:00"),
        (Period.DAY, "2026-11-20T05:00", "2026-11-21T05:00"),
        (Period.MONTH, "2026-11-01T04:00", "2026-12-01T05:00"),
    ],
)
def test_windows_start_by_the_wall_clock_of_the_zone(period: Period, began: str, ends: str) -> None:
    assert start(period, "2026-11-20T17:42:10", NEW_YORK) == instant(began)
    assert resets_at(period, instant("2026-11-20T17:42:10"), ZoneInfo(NEW_YORK)) == instant(ends)


def test_the_total_starts_at_nothing_and_never_resets() -> None:
    assert window_starts(instant("2026-11-20T17:42"), ZoneInfo(NEW_YORK))[Period.TOTAL] == 0
    assert resets_at(Period.TOTAL, instant("2026-11-20T17:42"), ZoneInfo(NEW_YORK)) is None


def test_a_fraction_of_a_second_before_midnight_is_the_day_before() -> None:
    assert start(Period.DAY, "2026-11-20T04:59:59.999999", NEW_YORK) == instant("2026-11-19T05:00")
    assert start(Period.DAY, "2026-11-20T05:00:00", NEW_YORK) == instant("2026-11-20T05:00")


def test_the_hour_that_a_clock_change_repeats_is_two_windows() -> None:
    first = start(Period.HOUR, "2026-11-01T05:30", NEW_YORK)
    second = start(Period.HOUR, "2026-11-01T06:30", NEW_YORK)
    assert (first, second) == (instant("2026-11-01T05:00"), instant("2026-11-01T06:00"))


def test_days_of_a_clock_change_have_25_and_23_hours() -> None:
    zone = ZoneInfo(NEW_YORK)
    assert start(Period.DAY, "2026-11-01T12:00", NEW_YORK) == instant("2026-11-01T04:00")
    assert resets_at(Period.DAY, instant("2026-11-01T12:00"), zone) == instant("2026-11-02T05:00")
    assert start(Period.DAY, "2026-03-08T12:00", NEW_YORK) == instant("2026-03-08T05:00")
    assert resets_at(Period.DAY, instant("2026-03-08T12:00"), zone) == instant("2026-03-09T04:00")


def test_hours_of_a_zone_off_the_full_hour_start_by_its_own_clock() -> None:
    assert start(Period.HOUR, "2026-11-20T17:42", "Asia/Kolkata") == instant("2026-11-20T17:30")


def test_a_change_of_half_an_hour_cuts_the_hour_short() -> None:
    # On Lord Howe Island 02:00 becomes 01:30 at 15:00 UTC, and 02:00 becomes 02:30 at 15:30 UTC.
    lord_howe = "Australia/Lord_Howe"
    assert start(Period.HOUR, "2026-04-04T14:59", lord_howe) == instant("2026-04-04T14:00")
    assert start(Period.HOUR, "2026-04-04T15:10", lord_howe) == instant("2026-04-04T15:00")
    assert start(Period.HOUR, "2026-04-04T15:40", lord_howe) == instant("2026-04-04T15:30")
    assert start(Period.HOUR, "2026-10-03T15:40", lord_howe) == instant("2026-10-03T15:30")
    ends = resets_at(Period.HOUR, instant("2026-04-04T14:59"), ZoneInfo(lord_howe))
    assert ends == instant("2026-04-04T15:00")


def test_a_day_without_a_midnight_starts_at_the_change() -> None:
    # In Santiago 24:00 of 5 September 2026 became 01:00.
    assert start(Period.DAY, "2026-09-06T12:00", "America/Santiago") == instant("2026-09-06T04:00")
    before = resets_at(Period.DAY, instant("2026-09-05T12:00"), ZoneInfo("America/Santiago"))
    assert before == instant("2026-09-06T04:00")


def test_a_month_may_start_at_a_change_too() -> None:
    # In Asunción 24:00 of 30 September 2017 became 01:00.
    assert start(Period.MONTH, "2017-10-20T12:00", "America/Asuncion") == instant(
        "2017-10-01T04:00"
    )


def test_a_midnight_that_a_change_leaps_over_starts_the_day_at_the_change() -> None:
    # In Toronto 23:30 of 30 March 1919 became 00:30.
    assert start(Period.DAY, "1919-03-31T12:00", "America/Toronto") == instant("1919-03-31T04:30")


def test_a_day_whose_midnight_comes_twice_starts_at_the_first() -> None:
    # In Havana 01:00 of 1 November 2026 becomes 00:00.
    assert start(Period.DAY, "2026-11-01T05:30", "America/Havana") == instant("2026-11-01T04:00")


def test_a_clock_that_goes_back_over_midnight_does_not_reopen_the_day_before() -> None:
    # In St. John's 00:01 of 29 October 2006 became 23:01 of the 28th.
    st_johns = "America/St_Johns"
    assert start(Period.DAY, "2006-10-29T02:30:30", st_johns) == instant("2006-10-29T02:30")
    assert start(Period.DAY, "2006-10-29T03:00", st_johns) == instant("2006-10-29T02:30")
    assert start(Period.DAY, "2006-10-29T03:45", st_johns) == instant("2006-10-29T02:30")


def test_a_date_that_a_zone_never_had_is_no_window() -> None:
    # Samoa went from 29 to 31 December 2011.
    ends = resets_at(Period.DAY, instant("2011-12-30T05:00"), ZoneInfo("Pacific/Apia"))
    assert ends == instant("2011-12-30T10:00")
    assert start(Period.DAY, "2011-12-30T12:00", "Pacific/Apia") == instant("2011-12-30T10:00")


def test_windows_of_one_zone_are_right_however_the_questions_alternate() -> None:
    for _ in range(2):
        assert start(Period.HOUR, "2026-11-20T17:42", NEW_YORK) == instant("2026-11-20T17:00")
        assert start(Period.HOUR, "2026-11-20T16:42", NEW_YORK) == instant("2026-11-20T16:00")
