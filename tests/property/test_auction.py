"""Whatever buyers answer and whenever: one outcome each, and a winner that may win."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from auction.domain.bidding import (
    NoBid,
    PingFault,
    PostAccepted,
    PostNotSent,
    PostRejected,
    PostUnknown,
    Quote,
)
from auction.domain.reasons import Reason
from tests.builders import a_call, a_static_offer, an_offer, ping_post
from tests.unit.engine.harness import Answering, Marketplace, a_marketplace
from tests.virtual_time import run_virtually

FAULTS = [Reason.ERROR, Reason.MALFORMED_REPLY, Reason.UNREACHABLE, Reason.BAD_STATUS]
AMOUNTS = st.one_of(
    st.decimals(0, 120, places=2).map(str), st.sampled_from(["NaN", "-1", "1e400", "1,000", ""])
)
REPLIES = st.one_of(
    st.builds(Quote, amount=AMOUNTS),
    st.builds(Quote, amount=AMOUNTS, expires_in_s=st.sampled_from(["0", "0.05", "60", "soon"])),
    st.builds(Quote, amount=AMOUNTS, currency=st.sampled_from(["USD", "EUR"])),
    st.builds(NoBid),
    st.builds(PingFault, st.sampled_from(FAULTS)),
    st.none(),
)
POSTS = st.sampled_from(
    [PostAccepted(), PostAccepted("gopher:x"), PostRejected(), PostUnknown(), PostNotSent(), None]
)
BUYERS = st.builds(
    Answering,
    reply=REPLIES,
    after_ms=st.integers(0, 700),
    post=POSTS,
    post_after_ms=st.integers(0, 700),
)
MINIMUM = "30.00"


def a_market(buyers: list[Answering]) -> Marketplace:
    offers = [
        an_offer(f"offer-{number}", buyer=f"buyer-{number}", ping_post=ping_post(MINIMUM))
        for number in range(len(buyers))
    ]
    script = {f"offer-{number}": buyer for number, buyer in enumerate(buyers)}
    return a_marketplace(*offers, a_static_offer(), script=script)


@given(st.lists(BUYERS, max_size=8), st.integers(50, 3000))
def test_every_offer_ends_with_one_outcome_and_no_slot_leaks(
    buyers: list[Answering], timeout_ms: int
) -> None:
    market = a_market(buyers)
    decision = run_virtually(market.decide(a_call(timeout_ms=timeout_ms)))
    trace = market.trace(a_call())
    assert len(trace) == len(buyers) + 1
    won = [offer for offer, entry in trace.items() if entry["outcome"] == "won"]
    assert won == ([decision["offer"]] if decision["action"] == "route" else [])
    live = {owner: usage.live for owner, usage in market.ledger.usage.items() if usage.live}
    assert set(live.values()) <= {1}
    assert set(live) == {f"offer:{decision['offer']}", f"buyer:{decision['buyer']}"}


@given(st.lists(BUYERS, max_size=8), st.integers(50, 3000))
def test_the_winner_is_never_below_its_minimum_and_the_best_that_accepted(
    buyers: list[Answering], timeout_ms: int
) -> None:
    market = a_market(buyers)
    decision = run_virtually(market.decide(a_call(timeout_ms=timeout_ms)))
    if decision["routed_by"] != "auction":
        return
    price = Decimal(decision["price"])
    assert price >= Decimal(MINIMUM)
    better = [
        entry["outcome"]
        for entry in market.trace(a_call()).values()
        if entry["rank"] is not None and Decimal(entry["bid"]) > price
    ]
    assert set(better) <= {"post_rejected", "post_unknown", "post_error", "expired"}


@given(st.lists(BUYERS, max_size=8), st.integers(50, 3000))
def test_a_decision_keeps_its_deadline(buyers: list[Answering], timeout_ms: int) -> None:
    market = a_market(buyers)
    decision = run_virtually(market.decide(a_call(timeout_ms=timeout_ms)))
    # The ledger in memory takes no time, so all that may pass is what buyers were given.
    assert decision["elapsed_ms"] <= min(timeout_ms, 2000) - 30 + 12
    accepted = [order.offer.id for order in market.gateway.posts]
    assert len(accepted) == len(set(accepted)), "nobody is posted twice"
