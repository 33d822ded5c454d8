"""What bids count for in the ranking."""

from decimal import Decimal

from auction.domain.deadline import early_close
from auction.domain.ids import CampaignId, OfferId, SourceId
from auction.domain.scoring import Odds, OddsBook, Weight, score, weigh
from auction.domain.terms import AuctionTerms, Boost, RankBy
from tests.builders import CAMPAIGN, an_offer

PUB = SourceId("pub-17")
HALF = Odds(Decimal(1), Decimal("0.5"), Decimal(1))
RARE = Odds(Decimal("0.000001"), Decimal("0.000001"), Decimal("0.000001"))


def test_boosts_of_the_calls_source_and_of_all_sources_multiply() -> None:
    boosts = (Boost(Decimal("1.5")), Boost(Decimal(2), PUB), Boost(Decimal(9), SourceId("other")))
    offer = an_offer(boosts=boosts)
    assert weigh(offer, PUB, None) == Weight(Decimal(3))
    assert weigh(offer, None, None) == Weight(Decimal("1.5"))
    assert weigh(offer, PUB, HALF) == Weight(Decimal("1.5"), HALF)


def test_no_multiplier_is_ever_nothing() -> None:
    assert weigh(an_offer(), PUB, RARE).multiplier == Decimal("1E-9")


def test_without_weights_a_score_is_the_amount() -> None:
    amount = Decimal("52.00")
    assert score(amount, OfferId("a"), None) == amount
    assert score(amount, OfferId("a"), {OfferId("a"): Weight(Decimal("0.5"))}) == Decimal(26)


def test_an_offer_without_history_has_the_odds_of_its_campaign() -> None:
    campaigns = {CAMPAIGN: RARE}
    book = OddsBook({OfferId("known"): HALF}, campaigns, Odds(*[Decimal("0.5")] * 3))
    assert book.of(an_offer("known")) == HALF
    assert book.of(an_offer("new")) == RARE
    elsewhere = an_offer("new", campaign=CampaignId("elsewhere"))
    assert book.of(elsewhere).of_revenue == Decimal("0.125")


def test_only_boosts_and_expected_revenue_rank_by_score() -> None:
    assert not AuctionTerms().scored
    assert AuctionTerms(boosted=True).scored
    assert AuctionTerms(rank_by=RankBy.EXPECTED_REVENUE).scored


def test_a_bid_that_ends_the_wait_is_told_by_its_amount_not_by_its_score() -> None:
    close_at, out = Decimal(80), (Decimal(100),)
    assert not early_close(Decimal(90), close_at, out, highest_bid=Decimal(45))
    assert early_close(Decimal(45), close_at, out, highest_bid=Decimal(90))
