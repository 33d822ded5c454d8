"""The order in which static offers are tried."""

from collections import Counter
from itertools import permutations

import pytest

from auction.domain.ids import CallId
from auction.domain.ranking import rank
from auction.domain.static_order import static_order
from auction.domain.terms import BuyerType
from tests.builders import a_bid, a_static_offer, an_offer

CALL = CallId("call-1")


def test_the_lowest_priority_number_comes_first_whatever_the_price() -> None:
    offers = [a_static_offer("a-1", "50.00", priority=2), a_static_offer("b-1", "1.00", priority=1)]
    assert [offer.id for offer in static_order(offers, CALL)] == ["b-1", "a-1"]


def test_offers_without_a_static_price_are_left_out() -> None:
    unbilled = an_offer("qa-1", buyer_type=BuyerType.QUALITY_ASSURANCE, priority=9)
    offers = [an_offer("a-1"), unbilled, a_static_offer("b-1")]
    assert [offer.id for offer in static_order(offers, CALL)] == ["b-1", "qa-1"]


def test_the_order_does_not_depend_on_the_order_given() -> None:
    offers = [a_static_offer(f"a-{n}", weight=n) for n in range(4)]
    orders = {static_order(list(order), CALL) for order in permutations(offers)}
    assert len(orders) == 1


def test_a_weight_of_two_gets_twice_the_calls_of_one() -> None:
    offers = [a_static_offer("a-1", weight=1), a_static_offer("b-1", weight=2)]
    calls = 20_000
    firsts = Counter(static_order(offers, CallId(f"call-{n}"))[0].id for n in range(calls))
    assert firsts[offers[1].id] / firsts[offers[0].id] == pytest.approx(2, rel=0.05)


def test_static_routing_draws_independently_of_the_auction() -> None:
    offers = [a_static_offer("a-1"), a_static_offer("b-1")]
    bids = [a_bid("a-1"), a_bid("b-1")]
    calls = [CallId(f"call-{n}") for n in range(2_000)]
    same = sum(static_order(offers, call)[0].id == rank(bids, call)[0].offer for call in calls)
    assert same / len(calls) == pytest.approx(0.5, abs=0.05)
