"""The 64 numbers of a usage row."""

import pytest

from auction.domain.usage import PeriodUsage, Usage, WindowCount, apply, held_by
from storage.usage_rows import LENGTH, ZEROS, decode, encode


def test_a_row_of_zeros_is_no_usage() -> None:
    assert decode(ZEROS) == Usage()


@pytest.mark.parametrize("place", range(LENGTH))
def test_every_number_has_its_own_place(place: int) -> None:
    counters = [0] * LENGTH
    counters[place] = 7
    assert decode(counters) != Usage()
    assert encode(decode(counters)) == counters


def test_windows_come_back_where_they_were() -> None:
    usage = apply(Usage(), (3600, 86_400, 2_592_000, 0), held_by((1, 1, 1, 520_000)))
    usage = apply(usage, (7200, 86_400, 2_592_000, 0), held_by((1, 1, 1, 180_000)))
    assert decode(encode(usage)) == usage
    assert usage.periods[0] == PeriodUsage(
        WindowCount(7200, (1, 0, 0, 0), (0, 1, 1, 180_000)),
        WindowCount(3600, (1, 0, 0, 0), (0, 1, 1, 520_000)),
    )
