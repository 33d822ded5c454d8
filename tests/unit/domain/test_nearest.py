"""Pairs of moments that are nearest to each other."""

from auction.domain.nearest import nearest_pairs


def test_where_one_side_has_nothing_there_are_no_pairs() -> None:
    assert list(nearest_pairs([], [(1, 0)], None)) == []
    assert list(nearest_pairs([(1, 0)], [], 5)) == []


def test_any_distance_will_do_where_none_is_given() -> None:
    assert list(nearest_pairs([(0, 7)], [(10_000, 9)], None)) == [(7, 9)]
