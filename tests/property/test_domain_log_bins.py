from collections import Counter
from fractions import Fraction
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from auction.domain.log_bins import bin_of, middle_of, quantile

NUMBERS = st.integers(0, 10**12)


@given(NUMBERS)
def test_the_middle_of_a_bin_is_within_one_percent_of_what_is_in_it(number: int) -> None:
    assert abs(middle_of(bin_of(number)) - number) <= number / 100


@given(NUMBERS, NUMBERS)
def test_larger_numbers_never_have_smaller_bins(one: int, other: int) -> None:
    smaller, larger = sorted((one, other))
    assert bin_of(smaller) <= bin_of(larger)


@given(st.lists(NUMBERS, min_size=1, max_size=200), st.sampled_from([1, 50, 90, 95, 99, 100]))
def test_percentiles_are_within_one_percent(numbers: list[int], percent: int) -> None:
    share = Fraction(percent, 100)
    exact = sorted(numbers)[max(1, ceil(share * len(numbers))) - 1]
    found = quantile(Counter(map(bin_of, numbers)), share)
    assert found is not None
    assert abs(found - exact) <= exact / 100
