"""Ranking and judging bids, whatever the bids are."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from auction.domain.bidding import Bid, Quote, RefusedBid
from auction.domain.bids import judge
from auction.domain.ids import CallId, OfferId
from auction.domain.money import from_units
from auction.domain.ranking import rank
from auction.domain.scoring import Odds, Weight, score, weigh
from auction.domain.static_order import static_order
from auction.domain.terms import Boost, OfferTerms
from tests.builders import NOON, a_bid, a_campaign, a_static_offer, an_offer, ping_post

CALLS = st.text(min_size=1, max_size=20).map(CallId)
CENTS = st.integers(1, 5)
"""Few different amounts, so that ties are common."""


@st.composite
def bid_sets(draw: st.DrawFn) -> list[Bid]:
    """Up to eight bids of different offers in any order."""
    names = draw(st.lists(st.text("abcdef", min_size=1), unique=True, min_size=1, max_size=8))
    return [
        a_bid(
            name,
            str(draw(CENTS)),
            priority=draw(st.integers(1, 3)),
            weight=draw(st.integers(0, 4)),
        )
        for name in names
    ]


@given(bid_sets(), CALLS, st.randoms(use_true_random=False))
def test_the_ranking_does_not_depend_on_arrival(
    bids: list[Bid], call: CallId, random: Random
) -> None:
    shuffled = list(bids)
    random.shuffle(shuffled)
    assert rank(shuffled, call) == rank(bids, call)


@given(bid_sets(), CALLS)
def test_the_ranking_holds_every_bid_once_in_falling_order(bids: list[Bid], call: CallId) -> None:
    ranking = rank(bids, call)
    assert sorted(bid.offer for bid in ranking) == sorted(bid.offer for bid in bids)
    keys = [(-bid.amount, bid.priority) for bid in ranking]
    assert keys == sorted(keys)


@given(bid_sets(), CALLS, st.integers(0, 7), CENTS)
def test_raising_a_bid_never_lowers_its_rank(
    bids: list[Bid], call: CallId, which: int, more: int
) -> None:
    chosen = bids[which % len(bids)]
    raised = replace(chosen, amount=chosen.amount + more)
    after = rank([raised if bid is chosen else bid for bid in bids], call)
    assert after.index(raised) <= rank(bids, call).index(chosen)


@given(bid_sets(), CALLS, st.integers(0, 7))
def test_a_bid_that_drops_out_leaves_the_order_of_the_others(
    bids: list[Bid], call: CallId, which: int
) -> None:
    gone = bids[which % len(bids)]
    rest = [bid for bid in bids if bid is not gone]
    assert rank(rest, call) == tuple(bid for bid in rank(bids, call) if bid is not gone)


CHANCES = st.integers(1, 1_000_000).map(lambda millionths: Decimal(millionths) / 1_000_000)
WEIGHTS = st.builds(
    weigh,
    st.lists(st.integers(100, 1_000_000).map(lambda n: Boost(Decimal(n) / 10_000)), max_size=3).map(
        lambda boosts: an_offer(boosts=tuple(boosts))
    ),
    st.none(),
    st.one_of(st.none(), st.builds(Odds, CHANCES, CHANCES, CHANCES)),
)


@st.composite
def weighted_bids(draw: st.DrawFn) -> tuple[list[Bid], dict[OfferId, Weight]]:
    bids = draw(bid_sets())
    return bids, {bid.offer: draw(WEIGHTS) for bid in bids}


@given(weighted_bids(), CALLS, st.randoms(use_true_random=False))
def test_a_weighted_order_is_total_and_does_not_depend_on_arrival(
    bidding: tuple[list[Bid], dict[OfferId, Weight]], call: CallId, random: Random
) -> None:
    bids, weights = bidding
    ranking = rank(bids, call, weights)
    shuffled = random.sample(bids, len(bids))
    assert rank(shuffled, call, weights) == ranking
    assert sorted(ranking, key=bids.index) == bids
    scores = [score(bid.amount, bid.offer, weights) for bid in ranking]
    assert scores == sorted(scores, reverse=True)
    assert all(each > 0 for each in scores)


@given(weighted_bids(), CALLS, st.integers(0, 7), st.integers(1, 500_000).map(from_units))
def test_raising_a_weighted_bid_never_lowers_its_rank(
    bidding: tuple[list[Bid], dict[OfferId, Weight]], call: CallId, which: int, more: Decimal
) -> None:
    bids, weights = bidding
    chosen = bids[which % len(bids)]
    raised = replace(chosen, amount=chosen.amount + more)
    after = rank([raised if bid is chosen else bid for bid in bids], call, weights)
    assert after.index(raised) <= rank(bids, call, weights).index(chosen)


@given(bid_sets(), CALLS, WEIGHTS)
def test_weights_that_are_alike_change_no_order(
    bids: list[Bid], call: CallId, weight: Weight
) -> None:
    assert rank(bids, call, {bid.offer: weight for bid in bids}) == rank(bids, call)


QUOTED = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-100, 20_000),
    st.decimals(allow_nan=True),
    st.integers(0, 200_000_000).map(from_units),
    st.from_regex(r"\$?\d{1,5}(\.\d{1,6})?", fullmatch=True),
    st.text(max_size=10),
)
DESTINATIONS = st.one_of(
    st.none(),
    st.text(max_size=30),
    st.integers(),
    st.from_regex(r"(sips?:|tel:)?\+?[a-z0-9.@:;=-]{1,30}", fullmatch=True),
)


@given(
    st.builds(
        Quote,
        amount=QUOTED,
        currency=st.one_of(st.none(), st.sampled_from(["USD", "usd", "EUR", 5])),
        bid_id=st.one_of(st.none(), st.text(max_size=300), st.integers()),
        destination=DESTINATIONS,
        expires_in_s=QUOTED,
        minimum_duration_s=QUOTED,
    ),
    st.integers(1, 100_000_000).map(from_units),
    st.one_of(st.none(), st.integers(1, 100_000_000).map(from_units)),
    st.booleans(),
)
def test_a_bid_is_never_below_its_minimum_nor_above_its_maximum(
    quote: Quote, minimum: Decimal, maximum: Decimal | None, posts: bool
) -> None:
    terms = ping_post(str(minimum), maximum_bid=maximum, posts=posts)
    offer = an_offer(ping_post=terms, destination=None)
    bid = judge(quote, offer, a_campaign(offer), "USD", NOON)
    if isinstance(bid, RefusedBid):
        assert bid.reason.value >= 300
        return
    assert minimum <= bid.amount <= (maximum or 10_000)
    assert NOON <= bid.expires_at <= NOON + timedelta(days=1)
    assert bid.bid_id is None or bid.bid_id.isprintable()
    assert posts or bid.destination is not None
    if bid.destination is not None:
        assert bid.destination.uri.startswith(("sip:", "sips:", "tel:+1"))
        assert bid.destination.uri.isascii()
        assert bid.destination.uri.isprintable()
        assert " " not in bid.destination.uri


@given(bid_sets(), CALLS)
def test_the_winner_of_the_judged_is_at_or_above_every_other(bids: list[Bid], call: CallId) -> None:
    winner = rank(bids, call)[0]
    assert all(winner.amount >= bid.amount for bid in bids)


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 4)), max_size=8), CALLS)
def test_static_offers_keep_their_priorities_in_any_order(
    terms: list[tuple[int, int]], call: CallId
) -> None:
    offers = [
        a_static_offer(f"o-{number}", priority=priority, weight=weight)
        for number, (priority, weight) in enumerate(terms)
    ]
    ordered = static_order(offers, call)
    assert ordered == static_order(offers[::-1], call)
    assert [offer.priority for offer in ordered] == sorted(priority for priority, _ in terms)
    assert _weightless_come_last(ordered)


def _weightless_come_last(ordered: tuple[OfferTerms, ...]) -> bool:
    by_priority: dict[int, list[bool]] = {}
    for offer in ordered:
        by_priority.setdefault(offer.priority, []).append(offer.weight == 0)
    return all(flags == sorted(flags) for flags in by_priority.values())
