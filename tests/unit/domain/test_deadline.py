"""Sharing out the time of a decision."""

from decimal import Decimal

import pytest

from auction.domain.deadline import MINIMUM_USEFUL_MS, DecisionTimes, early_close, plan_times
from auction.domain.terms import AuctionTerms

TERMS = AuctionTerms(budget_ms=2000, post_budget_ms=800, reply_reserve_ms=30)


@pytest.mark.parametrize(
    ("timeout_ms", "decision_ms"),
    [(None, 1970), (1800, 1770), (5000, 1970), (500, 470), (30, 0), (10, 0), (0, 0), (-5, 0)],
)
def test_the_decision_ends_before_the_switch_stops_waiting(
    timeout_ms: int | None, decision_ms: int
) -> None:
    assert plan_times(timeout_ms, TERMS, [], []).decision_ms == decision_ms


@pytest.mark.parametrize(
    ("timeout_ms", "pings", "posts", "expected"),
    [
        (2000, [2000, 500], [500, 400], DecisionTimes(1970, 500, 1470)),
        (2000, [5000], [1500], DecisionTimes(1970, 800, 1170)),
        (500, [500], [500], DecisionTimes(470, 235, 235)),
        (2000, [300, 400], [500], DecisionTimes(1970, 500, 400)),
        (2000, [2000], [0], DecisionTimes(1970, 0, 1970)),
        (2000, [2000], [], DecisionTimes(1970, 0, 1970)),
        (2000, [], [], DecisionTimes(1970, 0, 0)),
        (0, [500], [500], DecisionTimes(0, 0, 0)),
    ],
)
def test_posts_keep_back_their_time_and_pings_get_the_rest(
    timeout_ms: int, pings: list[int], posts: list[int], expected: DecisionTimes
) -> None:
    assert plan_times(timeout_ms, TERMS, pings, posts) == expected


def test_a_switch_that_waits_half_a_second_still_gets_an_auction() -> None:
    assert plan_times(500, TERMS, [500], [500]).ping_ms > MINIMUM_USEFUL_MS


def test_time_that_has_passed_already_is_gone() -> None:
    assert plan_times(2000, TERMS, [5000], [500], elapsed_ms=970) == DecisionTimes(1000, 500, 500)
    assert plan_times(2000, TERMS, [500], [500], elapsed_ms=9999) == DecisionTimes(0, 0, 0)


def amounts(*texts: str | None) -> list[Decimal | None]:
    """Ceilings, None for one that is not known."""
    return [None if text is None else Decimal(text) for text in texts]


@pytest.mark.parametrize(
    ("leader", "close_at", "out", "closes"),
    [
        (None, None, [], True),
        ("52", None, [], True),
        (None, None, ["10"], False),
        (None, "50", ["10"], False),
        ("50", "50", [None], True),
        ("49.9999", "50", [None], False),
        ("52", None, ["51.9999", "10"], True),
        ("52", None, ["52"], False),
        ("52", None, ["10", None], False),
        ("52", None, ["10", "60"], False),
    ],
)
def test_an_auction_ends_when_waiting_can_not_change_it(
    leader: str | None, close_at: str | None, out: list[str | None], *, closes: bool
) -> None:
    best, threshold = amounts(leader, close_at)
    assert early_close(best, threshold, amounts(*out)) is closes
