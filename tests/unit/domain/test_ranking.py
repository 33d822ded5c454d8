"""The order of bids, and shares by weight."""

import math
from collections import Counter
from itertools import permutations

import pytest

from auction.domain.ids import CallId, OfferId
from auction.domain.ranking import rank, weight_key
from tests.builders import a_bid

CALL = CallId("call-1")

KNOWN_KEY = 1.1183932329632784
"""Recorded once: a change would let replays of old calls rank differently."""


def test_the_highest_amount_comes_first() -> None:
    bids = [a_bid("a-1", "40.00"), a_bid("b-1", "52.0001"), a_bid("c-1", "52.00")]
    assert [bid.offer for bid in rank(bids, CALL)] == ["b-1", "c-1", "a-1"]


def test_among_equal_amounts_the_lowest_priority_number_comes_first() -> None:
    bids = [a_bid("a-1", "52.00", priority=2), a_bid("b-1", "52.0000", priority=1)]
    assert [bid.offer for bid in rank(bids, CALL)] == ["b-1", "a-1"]


def test_among_equals_weight_zero_comes_last() -> None:
    bids = [a_bid("a-1", weight=0), a_bid("b-1", weight=1), a_bid("c-1", weight=0)]
    assert [bid.offer for bid in rank(bids, CALL)] == ["b-1", "a-1", "c-1"]


def test_the_order_does_not_depend_on_arrival() -> None:
    bids = [a_bid(f"a-{n}", weight=n) for n in range(4)]
    assert len({rank(list(order), CALL) for order in permutations(bids)}) == 1


def test_ties_fall_differently_for_different_calls() -> None:
    bids = [a_bid("a-1"), a_bid("b-1")]
    winners = {rank(bids, CallId(f"call-{n}"))[0].offer for n in range(20)}
    assert winners == {"a-1", "b-1"}


def test_no_bids_rank_as_nothing() -> None:
    assert rank([], CALL) == ()


@pytest.mark.parametrize(
    "weights", [{"a-1": 1, "b-1": 2}, {"a-1": 1, "b-1": 1, "c-1": 8}, {"a-1": 70, "b-1": 30}]
)
def test_the_ratio_of_weights_holds_over_many_calls(weights: dict[str, int]) -> None:
    bids = [a_bid(offer, weight=weight) for offer, weight in weights.items()]
    calls = 20_000
    wins = Counter(rank(bids, CallId(f"{n}@switch-1"))[0].offer for n in range(calls))
    for offer, weight in weights.items():
        share = weight / sum(weights.values())
        assert wins[OfferId(offer)] / calls == pytest.approx(share, abs=0.015)


def test_a_weight_key_is_always_the_same() -> None:
    assert weight_key(CALL, OfferId("acme-auto"), 3) == pytest.approx(KNOWN_KEY, rel=1e-12)


def test_a_weight_of_nothing_has_no_end() -> None:
    assert weight_key(CALL, OfferId("a-1"), 0) == math.inf
    assert weight_key(CALL, OfferId("a-1"), -1) == math.inf


def test_keys_do_not_mix_up_call_and_offer() -> None:
    assert weight_key(CallId("ab"), OfferId("c"), 1) != weight_key(CallId("a"), OfferId("bc"), 1)


def test_a_call_id_of_any_text_has_a_key() -> None:
    assert weight_key(CallId("\ud800"), OfferId("a-1"), 1) > 0
