"""How much of its work a process may begin."""

import pytest

from auction.domain.overload import LoadLevel, Thresholds, next_level, smoothed

NORMAL, STATIC_ONLY, REFUSE = LoadLevel.NORMAL, LoadLevel.STATIC_ONLY, LoadLevel.REFUSE
CALLS = Thresholds(static_only=100, refuse=200)
LAG = Thresholds(static_only=50, refuse=500)


@pytest.mark.parametrize(
    ("calls", "lag_ms", "level"),
    [
        (0, 0, NORMAL),
        (99, 49.9, NORMAL),
        (100, 0, STATIC_ONLY),
        (0, 50, STATIC_ONLY),
        (199, 499, STATIC_ONLY),
        (200, 0, REFUSE),
        (150, 500, REFUSE),
    ],
)
def test_any_reading_enters_a_level(calls: int, lag_ms: float, level: LoadLevel) -> None:
    assert next_level(NORMAL, [(calls, CALLS), (lag_ms, LAG)]) is level


def test_a_level_is_kept_until_all_readings_are_well_below_it() -> None:
    levels = []
    level = NORMAL
    for calls in (150, 250, 199, 141, 139, 100, 71, 69, 99, 100):
        level = next_level(level, [(calls, CALLS), (0, LAG)])
        levels.append(level)
    assert levels == [
        *(STATIC_ONLY, REFUSE, REFUSE, REFUSE),
        *(STATIC_ONLY, STATIC_ONLY, STATIC_ONLY),
        *(NORMAL, NORMAL, STATIC_ONLY),
    ]
    assert CALLS.quiet_below == pytest.approx(70)


def test_one_reading_keeps_what_another_entered() -> None:
    assert next_level(STATIC_ONLY, [(0, CALLS), (40, LAG)]) is STATIC_ONLY
    assert next_level(STATIC_ONLY, [(0, CALLS), (34, LAG)]) is NORMAL


def test_a_threshold_of_0_is_off() -> None:
    off = Thresholds(static_only=0, refuse=0)
    assert off.quiet_below > 10**9
    assert next_level(NORMAL, [(10**9, off)]) is NORMAL
    only_refusing = Thresholds(static_only=0, refuse=10)
    assert next_level(NORMAL, [(9, only_refusing)]) is NORMAL
    assert next_level(NORMAL, [(10, only_refusing)]) is REFUSE
    assert next_level(REFUSE, [(6, only_refusing)]) is NORMAL


def test_one_stall_is_no_overload_and_a_lasting_lag_is() -> None:
    after_stall = smoothed(0, 1_000)
    assert after_stall == pytest.approx(100)
    lag_ms = 0.0
    for _ in range(30):
        lag_ms = smoothed(lag_ms, 200)
    assert lag_ms > 190
