"""Business hours against a count of every minute."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from auction.domain.hours import DAYS, Hours, parse_weekly, refusal
from auction.domain.reasons import Reason

ZONES = st.sampled_from(
    [
        ZoneInfo(name)
        for name in (
            "America/New_York",
            "America/Havana",
            "America/Santiago",
            "Australia/Lord_Howe",
            "Asia/Kolkata",
            "UTC",
        )
    ]
)
CHANGE_DAYS = st.sampled_from(
    [
        date(2026, 3, 7),
        date(2026, 3, 8),
        date(2026, 4, 4),
        date(2026, 9, 5),
        date(2026, 10, 3),
        date(2026, 10, 31),
        date(2026, 11, 1),
        date(2026, 12, 24),
    ]
)
QUARTERS = st.integers(0, 95).map(lambda quarter: quarter * 15)


@st.composite
def weeks(draw: st.DrawFn) -> dict[str, list[str]]:
    """At most one range for each day."""
    week: dict[str, list[str]] = {}
    for day in draw(st.sets(st.sampled_from(DAYS))):
        start, end = draw(QUARTERS), draw(QUARTERS)
        if start != end:
            week[day] = [f"{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}"]
    return week


def open_by_the_book(week: dict[str, list[str]], local: datetime) -> bool:
    """Whether a wall-clock minute is open, read from the texts minute by minute."""
    today, yesterday = DAYS[local.weekday()], DAYS[local.weekday() - 1]
    clock = f"{local:%H:%M}"
    for text in week.get(today, []):
        start, end = text.split("-")
        if start <= clock < end or (end < start and clock >= start):
            return True
    for text in week.get(yesterday, []):
        start, end = text.split("-")
        if end < start and clock < end:
            return True
    return False


@given(weeks(), ZONES, CHANGE_DAYS, st.booleans(), st.integers(0, 13))
def test_open_and_closed_agree_with_the_wall_clock_on_every_minute(
    week: dict[str, list[str]], zone: ZoneInfo, day: date, holiday: bool, offset: int
) -> None:
    hours = Hours(zone, parse_weekly(week), frozenset({day} if holiday else ()))
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=14)
    for step in range(0, 52 * 60, 7):
        moment = begin + timedelta(minutes=step + offset % 7)
        local = moment.astimezone(zone)
        expected: Reason | None
        if holiday and local.date() == day:
            expected = Reason.HOLIDAY
        else:
            expected = None if open_by_the_book(week, local) else Reason.CLOSED
        assert refusal(hours, moment) is expected


@given(st.text(max_size=12), st.text(max_size=16))
def test_any_text_is_read_or_refused(key: str, text: str) -> None:
    try:
        week = parse_weekly({key: [text]})
    except ValueError:
        return
    assert all(0 <= start < end <= 2879 for day in week for start, end in day)
