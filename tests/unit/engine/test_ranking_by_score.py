"""Auctions whose bids count for more or less than their amounts."""

from decimal import Decimal

import pytest

from auction.domain.bidding import PingFault, Quote
from auction.domain.ids import OfferId, SourceId
from auction.domain.reasons import Reason
from auction.domain.scoring import Odds, OddsBook
from auction.domain.terms import AuctionTerms, Boost, RankBy
from tests.builders import a_call, an_offer, ping_post
from tests.unit.engine.harness import Answering, a_marketplace
from tests.unit.engine.known import Known
from tests.virtual_time import run_virtually

LIKELY = Odds(Decimal("0.9"), Decimal("0.8"), Decimal("0.5"))
UNLIKELY = Odds(Decimal("0.9"), Decimal("0.8"), Decimal("0.25"))
BOOSTED = {"auction": AuctionTerms(boosted=True)}
BY_REVENUE = {"auction": AuctionTerms(rank_by=RankBy.EXPECTED_REVENUE)}


BOOK = OddsBook({OfferId("acme-auto"): UNLIKELY}, {}, LIKELY)
SCRIPT = {
    "acme-auto": Answering(Quote(amount="50.00"), 10),
    "beacon-auto": Answering(Quote(amount="40.00"), 20),
}


def test_a_boosted_bid_wins_and_pays_its_own_price() -> None:
    boosts = (Boost(Decimal("1.3"), SourceId("pub-17")),)
    offers = an_offer(), an_offer("beacon-auto", buyer="beacon", boosts=boosts)
    market = a_marketplace(*offers, script=SCRIPT, campaign=BOOSTED)
    call, elsewhere = a_call(), a_call("call-2", source=SourceId("pub-18"))
    decision = run_virtually(market.decide(call))

    assert (decision["offer"], decision["price"]) == ("beacon-auto", "40.00")
    trace = market.trace(call)
    assert (trace["beacon-auto"]["rank"], trace["beacon-auto"]["multiplier"]) == (1, "1.3")
    assert (trace["acme-auto"]["rank"], trace["acme-auto"]["multiplier"]) == (2, "1")
    assert run_virtually(market.decide(elsewhere))["offer"] == "acme-auto"


def test_the_likelier_revenue_wins_and_the_odds_are_in_the_trace() -> None:
    offers = an_offer(), an_offer("beacon-auto", buyer="beacon")
    market = a_marketplace(*offers, script=SCRIPT, campaign=BY_REVENUE, forecasts=Known(BOOK))
    call = a_call()
    decision = run_virtually(market.decide(call))

    assert (decision["offer"], decision["price"]) == ("beacon-auto", "40.00")
    entry = market.trace(call)["acme-auto"]
    assert entry["multiplier"] == "0.18"
    assert entry["odds"] == {"accepted": "0.9", "answered": "0.8", "converted": "0.25"}


def test_while_nothing_is_known_the_price_decides() -> None:
    offers = an_offer(), an_offer("beacon-auto", buyer="beacon")
    market = a_marketplace(*offers, script=SCRIPT, campaign=BY_REVENUE)
    assert run_virtually(market.decide(a_call()))["offer"] == "acme-auto"


@pytest.mark.parametrize(("factor", "outcome"), [("0.5", "won"), ("2", "not_awaited")])
def test_who_leads_is_told_by_the_score(factor: str, outcome: str) -> None:
    leader = an_offer(boosts=(Boost(Decimal(factor)),))
    late = an_offer("beacon-auto", buyer="beacon", ping_post=ping_post(maximum_bid=Decimal(49)))
    market = a_marketplace(leader, late, script=SCRIPT, campaign=BOOSTED)
    call = a_call()
    run_virtually(market.decide(call))
    assert market.outcomes(call)["beacon-auto"] == outcome


def test_an_offer_that_can_still_reach_the_leaders_score_is_waited_for() -> None:
    late = an_offer(
        "beacon-auto",
        buyer="beacon",
        ping_post=ping_post(maximum_bid=Decimal(45)),
        boosts=(Boost(Decimal("1.3")),),
    )
    market = a_marketplace(an_offer(), late, script=SCRIPT, campaign=BOOSTED)
    assert run_virtually(market.decide(a_call()))["offer"] == "beacon-auto"


def test_an_offer_that_cannot_reach_the_leaders_score_is_not_waited_for() -> None:
    weak = an_offer(
        "beacon-auto",
        buyer="beacon",
        ping_post=ping_post(maximum_bid=Decimal(90)),
        boosts=(Boost(Decimal("0.5")),),
    )
    market = a_marketplace(an_offer(), weak, script=SCRIPT, campaign=BOOSTED)
    call = a_call()
    run_virtually(market.decide(call))
    assert market.outcomes(call)["beacon-auto"] == "not_awaited"


def test_an_offer_whose_ping_never_left_wins_statically_like_one_that_was_not_pinged() -> None:
    unsent = Answering(PingFault(Reason.OUTBOUND_LIMIT, "no connection free", blames_buyer=False))
    offer = an_offer(static_price="12.00")
    market = a_marketplace(offer, script={"acme-auto": unsent})
    call = a_call()
    assert run_virtually(market.decide(call))["routed_by"] == "static"
    entry = market.trace(call)["acme-auto"]
    assert (entry["outcome"], entry["static"]) == ("won", True)
