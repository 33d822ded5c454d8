"""How many pings an offer gets at most."""

import pytest

from auction.domain.ping_rate import MOST_REMEMBERED, PingRate


def passed(rate: PingRate, moments: list[float]) -> list[float]:
    """The moments at which a ping passes."""
    found = []
    for now in moments:
        if rate.has_room(now):
            rate.take(now)
            found.append(now)
    return found


def test_a_seconds_worth_may_come_at_once_and_no_more() -> None:
    assert passed(PingRate(10), [5.0] * 50) == [5.0] * 10


def test_no_second_gets_more_wherever_it_begins() -> None:
    rate = PingRate(10)
    assert passed(rate, [0.75] * 10) == [0.75] * 10
    assert passed(rate, [1.0, 1.5, 1.7]) == []
    assert passed(rate, [1.75] * 11) == [1.75] * 10


@pytest.mark.parametrize(("per_second", "every"), [(0.5, 2.0), (0.01, 100.0), (1.0, 1.0)])
def test_up_to_one_a_second_each_ping_keeps_its_distance(per_second: float, every: float) -> None:
    tenths = [tenth * every / 10 for tenth in range(35)]
    assert passed(PingRate(per_second), tenths) == [0.0, every, 2 * every, 3 * every]


def test_a_broken_rate_is_kept_on_the_whole() -> None:
    hundredths = [hundredth / 100 for hundredth in range(1_000)]
    assert len(passed(PingRate(2.5), hundredths)) in range(24, 27)


def test_a_high_rate_remembers_a_bounded_number_of_pings() -> None:
    assert len(passed(PingRate(100_000), [0.0] * 5_000)) == MOST_REMEMBERED
