"""Windows divide time: no gap, no overlap, no way back."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from auction.domain.terms import Period
from auction.domain.windows import resets_at, window_starts

ZONES = st.sampled_from(
    [
        ZoneInfo(name)
        for name in (
            "America/New_York",
            "America/St_Johns",
            "America/Havana",
            "America/Santiago",
            "America/Asuncion",
            "America/Sao_Paulo",
            "Africa/Cairo",
            "Asia/Beirut",
            "Asia/Kathmandu",
            "Australia/Lord_Howe",
            "Europe/London",
            "Pacific/Apia",
            "UTC",
        )
    ]
)
SECONDS = st.integers(
    int(datetime(1990, 1, 1, tzinfo=UTC).timestamp()),
    int(datetime(2040, 1, 1, tzinfo=UTC).timestamp()),
)
NEAR_MIDNIGHTS = st.builds(
    lambda day, minutes: int(day * 86_400 + minutes * 60),
    st.integers(7305, 25_000),
    st.integers(0, 1440),
)
MOMENTS = st.one_of(SECONDS, NEAR_MIDNIGHTS)
LIMITED = [Period.HOUR, Period.DAY, Period.MONTH]


def at(seconds: float) -> datetime:
    """The instant so many seconds after 1970."""
    return datetime.fromtimestamp(seconds, UTC)


@given(MOMENTS, ZONES)
def test_a_window_holds_its_moment_and_starts_where_it_starts(moment: int, zone: ZoneInfo) -> None:
    starts = window_starts(at(moment), zone)
    for period in LIMITED:
        assert starts[period] <= moment
        assert window_starts(at(starts[period]), zone)[period] == starts[period]
    assert starts[Period.MONTH] <= starts[Period.DAY] <= starts[Period.HOUR]
    assert starts[Period.TOTAL] == 0


@given(MOMENTS, st.integers(0, 3 * 86_400), ZONES)
def test_a_later_moment_is_never_in_an_earlier_window(
    moment: int, later: int, zone: ZoneInfo
) -> None:
    before, after = window_starts(at(moment), zone), window_starts(at(moment + later), zone)
    assert all(before[period] <= after[period] for period in LIMITED)


@given(MOMENTS, ZONES, st.sampled_from(LIMITED))
def test_the_next_window_starts_exactly_where_one_ends(
    moment: int, zone: ZoneInfo, period: Period
) -> None:
    starts = window_starts(at(moment), zone)
    ends = resets_at(period, at(moment), zone)
    assert ends is not None
    assert ends > at(moment)
    just_before = ends - timedelta(microseconds=1)
    assert window_starts(just_before, zone)[period] == starts[period]
    assert window_starts(ends, zone)[period] == int(ends.timestamp())


@given(MOMENTS, ZONES)
def test_a_window_is_no_longer_than_its_name_allows(moment: int, zone: ZoneInfo) -> None:
    longest = {Period.HOUR: 3600, Period.DAY: 50 * 3600, Period.MONTH: 31 * 86_400 + 25 * 3600}
    starts = window_starts(at(moment), zone)
    assert all(moment - starts[period] < longest[period] for period in LIMITED)
