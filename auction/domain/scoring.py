"""What bids are ranked by where that is not their amount alone: boosts, and the odds of revenue.

A bid's score is its amount times its offer's multiplier. Scores only order bids: nobody pays them.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from auction.domain.ids import CampaignId, OfferId, SourceId
from auction.domain.terms import OfferTerms
from auction.domain.value import value

_ONE: Final = Decimal(1)
_STEP: Final = Decimal("1E-9")


@value(frozen=True, slots=True)
class Odds:
    """How likely an offer takes a post, how likely the call is then answered, and then converts.

    Each above 0 and at most 1, with at most 6 decimals.
    """

    accepted: Decimal
    answered: Decimal
    converted: Decimal

    @property
    def of_revenue(self) -> Decimal:
        """How likely a bid of it becomes revenue."""
        return self.accepted * self.answered * self.converted


@value(frozen=True, slots=True)
class OddsBook:
    """The odds of all offers at one moment; those without any history have their campaign's."""

    offers: Mapping[OfferId, Odds]
    campaigns: Mapping[CampaignId, Odds]
    otherwise: Odds

    def of(self, offer: OfferTerms) -> Odds:
        """The odds of one offer."""
        return self.offers.get(offer.id) or self.campaigns.get(offer.campaign) or self.otherwise


@value(frozen=True, slots=True)
class Weight:
    """What an offer's bids are multiplied by, above 0; ``odds`` where it depends on any."""

    multiplier: Decimal
    odds: Odds | None = None


Weights = Mapping[OfferId, Weight]
"""Of all offers that are asked for bids on one call."""


def weigh(offer: OfferTerms, source: SourceId | None, odds: Odds | None) -> Weight:
    """The weight of an offer's bids for a call of this source; at most 9 decimals, never 0."""
    product = _ONE if odds is None else odds.of_revenue
    for boost in offer.boosts:
        if boost.source is None or boost.source == source:
            product *= boost.factor
    return Weight(max(product.quantize(_STEP), _STEP), odds)


def score(amount: Decimal, offer: OfferId, weights: Weights | None) -> Decimal:
    """What a bid is ranked by; without weights its amount."""
    return amount if weights is None else amount * weights[offer].multiplier
