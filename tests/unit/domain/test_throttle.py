"""Rate limits of tokens."""

import pytest

from auction.domain.throttle import RateLimit, Throttle


def test_a_burst_passes_at_once_and_then_one_after_the_other() -> None:
    throttle = Throttle(RateLimit(per_second=10, burst=3))
    assert [throttle.wait_s(100.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert throttle.wait_s(100.0) == pytest.approx(0.1)
    assert throttle.wait_s(100.1) == 0.0
    assert throttle.wait_s(100.1) == pytest.approx(0.1)


def test_what_was_refused_does_not_put_off_what_comes_later() -> None:
    throttle = Throttle(RateLimit(per_second=1, burst=1))
    assert throttle.wait_s(5.0) == 0.0
    assert all(throttle.wait_s(5.5) > 0 for _ in range(100))
    assert throttle.wait_s(6.0) == 0.0


def test_a_pause_brings_no_more_than_a_burst() -> None:
    throttle = Throttle(RateLimit(per_second=100, burst=2))
    throttle.wait_s(1.0)
    passed = [throttle.wait_s(1000.0) == 0.0 for _ in range(5)]
    assert passed == [True, True, False, False, False]


@pytest.mark.parametrize("burst", [1, 7, 1000])
def test_any_second_lets_through_the_rate_and_a_burst_at_most(burst: int) -> None:
    throttle = Throttle(RateLimit(per_second=50, burst=burst))
    passed = sum(throttle.wait_s(7.0 + tick / 1000) == 0.0 for tick in range(1000))
    assert burst <= passed <= burst + 50


def test_processes_share_a_limit_and_each_lets_one_through() -> None:
    assert RateLimit(per_second=10, burst=20).divided(4) == RateLimit(2.5, 5)
    assert RateLimit(per_second=1, burst=1).divided(4) == RateLimit(0.25, 1)
