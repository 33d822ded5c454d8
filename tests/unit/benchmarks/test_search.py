"""The search for the highest rate that holds, over a machine that is only made up."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.load.search import RateSearch


def tried(search: RateSearch, holds: Callable[[float], bool]) -> list[float]:
    rates = []
    while (rate := search.next_rate()) is not None:
        rates.append(rate)
        search.record(rate, holds=holds(rate))
    return rates


@given(st.floats(151, 4000))
def test_the_rate_found_holds_and_is_near_the_highest(capacity: float) -> None:
    search = RateSearch(150, tries=20)
    rates = tried(search, lambda rate: rate <= capacity)
    assert search.held is not None
    assert search.held <= capacity <= search.held * 1.05
    assert len(rates) <= 20


def test_a_search_steps_down_where_the_first_rate_fails() -> None:
    search = RateSearch(1000, tries=20)
    tried(search, lambda rate: rate <= 100)
    assert search.held == pytest.approx(97.5, rel=0.03)


def test_a_search_has_so_many_tries_and_no_more() -> None:
    search = RateSearch(100, tries=5)
    assert len(tried(search, lambda _: False)) == 5
    assert search.held is None


def test_a_search_ends_at_the_highest_rate_that_is_asked_for() -> None:
    search = RateSearch(100, highest=300, tries=20)
    assert tried(search, lambda _: True) == [100, 160, 256, 300]
    assert search.held == 300


def test_where_tries_contradict_each_other_the_later_one_counts() -> None:
    search = RateSearch(100)
    search.record(200, holds=True)
    search.record(150, holds=False)
    assert (search.held, search.failed) == (None, 150)
    search.record(160, holds=True)
    assert (search.held, search.failed) == (160, None)
