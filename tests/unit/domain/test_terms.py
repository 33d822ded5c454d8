"""What follows from an offer's terms."""

from decimal import Decimal

import pytest

from auction.domain.call import Caller
from auction.domain.ids import OwnerId
from auction.domain.terms import BuyerType, Cap, Measure, OwnerLimits, Period
from tests.builders import NEW_YORK, a_catalogue, a_static_offer, an_offer, ping_post


def test_only_a_buyer_takes_part_in_auctions() -> None:
    assert an_offer().auctioned
    assert not a_static_offer().auctioned
    assert not an_offer(buyer_type=BuyerType.VOICE_BOT).auctioned


def test_a_static_route_costs_its_price_and_nothing_for_the_unbilled() -> None:
    assert an_offer().static_amount is None
    assert a_static_offer(price="18.00").static_amount == 18
    unbilled = a_static_offer(price="18.00", buyer_type=BuyerType.QUALITY_ASSURANCE)
    assert unbilled.static_amount == 0


@pytest.mark.parametrize(
    ("fixed", "maximum", "ceiling"),
    [(None, None, None), (None, "60", "60"), ("45", "60", "45"), ("45", None, "45")],
)
def test_the_highest_possible_bid_is_known_from_the_terms(
    fixed: str | None, maximum: str | None, ceiling: str | None
) -> None:
    amounts = [None if text is None else Decimal(text) for text in (fixed, maximum, ceiling)]
    terms = ping_post(fixed_amount=amounts[0], maximum_bid=amounts[1])
    assert terms.ceiling == amounts[2]


def test_an_owner_is_limited_by_caps_or_concurrency() -> None:
    owner = OwnerId("offer:a")
    assert not OwnerLimits(owner, NEW_YORK).limited
    assert OwnerLimits(owner, NEW_YORK, concurrency=0).limited
    assert OwnerLimits(owner, NEW_YORK, caps=(Cap(Measure.CALLS, Period.DAY, 1),)).limited


def test_a_caller_without_a_number_is_withheld() -> None:
    assert Caller().withheld
    assert not Caller("+13105551234").withheld


def test_a_catalogue_of_the_builders_is_consistent() -> None:
    catalogue = a_catalogue()
    campaign = catalogue.campaigns[catalogue.campaign_by_number["+18005550100"]]
    assert {offer.id for offer in campaign.offers} == set(catalogue.offers)
