"""Bins of counts whose middles are near what is in them."""

from collections import Counter
from fractions import Fraction

import pytest

from auction.domain.log_bins import bin_of, middle_of, quantile


@pytest.mark.parametrize("number", range(50))
def test_small_numbers_have_bins_of_their_own(number: int) -> None:
    assert middle_of(bin_of(number)) == number


@pytest.mark.parametrize("number", [1_000, 65_535, 65_536, 10**12])
def test_the_middle_of_a_large_numbers_bin_is_within_one_percent(number: int) -> None:
    assert abs(middle_of(bin_of(number)) - number) <= number / 100


def test_a_percentile_is_the_first_number_that_enough_are_not_above() -> None:
    bins = Counter(map(bin_of, [1, 2, 3, 4]))
    assert [quantile(bins, Fraction(each, 4)) for each in (1, 2, 3, 4)] == [1, 2, 3, 4]


def test_nothing_has_no_percentile() -> None:
    assert quantile({}, Fraction(1, 2)) is None
