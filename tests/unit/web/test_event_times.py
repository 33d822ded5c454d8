"""RFC 3339, as switches write it."""

from datetime import UTC, datetime

import pytest

from auction.web.event_request import read_instant


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-21T18:05:30Z", datetime(2026, 11, 21, 18, 5, 30, tzinfo=UTC)),
        ("2026-11-21t18:05:30z", datetime(2026, 11, 21, 18, 5, 30, tzinfo=UTC)),
        ("2026-11-21 18:05:30Z", datetime(2026, 11, 21, 18, 5, 30, tzinfo=UTC)),
        ("2026-11-21T18:05:30.5+00:00", datetime(2026, 11, 21, 18, 5, 30, 500_000, tzinfo=UTC)),
        ("2026-11-21T18:05:30.123456789Z", datetime(2026, 11, 21, 18, 5, 30, 123_456, tzinfo=UTC)),
        ("2026-11-21T23:05:30-05:30", datetime(2026, 11, 22, 4, 35, 30, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2016-12-31T23:59:60.9Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2026-11-21T18:05:30-00:00", datetime(2026, 11, 21, 18, 5, 30, tzinfo=UTC)),
    ],
)
def test_a_readable_time_is_read(text: str, expected: datetime) -> None:
    instant = read_instant(text)
    assert instant == expected
    assert instant is not None
    assert instant.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-11-21",
        "2026-11-21T18:05Z",
        "2026-11-21T18:05:30",
        "2026-11-21T18:05:30.Z",
        "20261121T180530Z",
        "2026-W47-6T18:05:30Z",
        "2026-11-21T24:00:00Z",
        "2026-11-21T18:05:61Z",
        "2026-02-30T18:05:30Z",
        "2026-11-21T18:05:30+25:00",
        "2026-11-21T18:05:30+0500",
        "0001-01-01T00:00:00+10:00",
        "9999-12-31T23:59:59-10:00",
        "9999-12-31T23:59:60Z",
        "0000-01-01T00:00:00Z",
        "٢٠٢٦-11-21T18:05:30Z",
        "2026-11-21T18:05:30Z\n",
        " 2026-11-21T18:05:30Z",
    ],
)
def test_anything_else_is_no_time(text: str) -> None:
    assert read_instant(text) is None
