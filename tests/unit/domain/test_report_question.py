from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from auction.domain.report_question import (
    Bucket,
    By,
    Question,
    bucket_edges,
    period_before,
    widened,
)
from tests.builders import NEW_YORK

KOLKATA = ZoneInfo("Asia/Kolkata")


def local(
    zone: ZoneInfo, year: int, month: int, day: int, hour: int = 0, minute: int = 0
) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=zone).astimezone(UTC)


def test_a_period_is_widened_to_whole_quarters_of_an_hour() -> None:
    since = datetime(2026, 11, 1, 10, 7, 3, tzinfo=UTC)
    until = datetime(2026, 11, 1, 11, 1, tzinfo=UTC)
    assert widened(since, until) == (
        datetime(2026, 11, 1, 10, tzinfo=UTC),
        datetime(2026, 11, 1, 11, 15, tzinfo=UTC),
    )
    assert widened(*widened(since, until)) == widened(since, until)


def test_days_are_those_of_the_zone_whatever_its_clocks_do() -> None:
    since, until = local(NEW_YORK, 2026, 10, 31), local(NEW_YORK, 2026, 11, 3)
    edges = bucket_edges(since, until, Bucket.DAY, NEW_YORK, 10)
    assert edges is not None
    assert edges == [since, local(NEW_YORK, 2026, 11, 1), local(NEW_YORK, 2026, 11, 2)]
    assert edges[2] - edges[1] == timedelta(hours=25)


def test_the_first_bucket_begins_with_the_period() -> None:
    since = datetime(2026, 11, 1, 10, 15, tzinfo=UTC)
    edges = bucket_edges(since, since + timedelta(hours=2), Bucket.HOUR, KOLKATA, 10)
    assert edges == [since, since.replace(minute=30), since.replace(hour=11, minute=30)]


def test_a_total_is_one_bucket() -> None:
    since, until = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 9, 1, tzinfo=UTC)
    assert bucket_edges(since, until, Bucket.TOTAL, NEW_YORK, 1) == [since]


def test_too_many_buckets_are_none() -> None:
    since = datetime(2026, 1, 1, tzinfo=UTC)
    day = since + timedelta(hours=24)
    assert bucket_edges(since, day, Bucket.HOUR, NEW_YORK, 23) is None
    assert len(bucket_edges(since, day, Bucket.HOUR, NEW_YORK, 24) or ()) == 24


@pytest.mark.parametrize(
    ("since", "until", "before"),
    [
        ((2026, 11, 1), (2026, 12, 1), (2026, 10, 1)),
        ((2026, 1, 1), (2026, 3, 1), (2025, 11, 1)),
        ((2026, 11, 1), (2026, 11, 8), (2026, 10, 25)),
        ((2026, 11, 1), (2026, 11, 2), (2026, 10, 31)),
    ],
)
def test_the_period_before_goes_by_the_calendar(
    since: tuple[int, int, int], until: tuple[int, int, int], before: tuple[int, int, int]
) -> None:
    first = local(NEW_YORK, *since)
    assert period_before(first, local(NEW_YORK, *until), NEW_YORK) == (
        local(NEW_YORK, *before),
        first,
    )


def test_the_time_before_part_of_a_day_is_as_long() -> None:
    since, until = local(NEW_YORK, 2026, 11, 1), local(NEW_YORK, 2026, 11, 1, 9, 30)
    assert period_before(since, until, NEW_YORK) == (since - (until - since), since)


def test_a_question_is_asked_about_another_time() -> None:
    since = datetime(2026, 11, 1, tzinfo=UTC)
    later = since + timedelta(days=1)
    asked = Question(since, later, [since], By.OFFER, campaign="auto")
    again = asked.over(later, later + timedelta(days=1), [later])
    assert (again.since, again.edges, again.campaign) == (later, [later], "auto")
