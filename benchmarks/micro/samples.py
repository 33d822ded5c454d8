"""A marketplace and a call, made the way the service makes them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson

from auction.domain.bidding import Bid
from auction.domain.call import Call
from auction.domain.ids import CampaignId
from auction.domain.terms import Campaign, Catalogue, Destination, OfferTerms
from auction.web.call_request import read_call_request
from benchmarks.load.callers import CallBodies
from benchmarks.stack.marketplace import CAMPAIGN, MarketplaceOptions, make_marketplace
from buyers.terms import build_catalogue
from config.marketplace import Marketplace, read_marketplace
from storage.tokens import SCOPES, TokenGrant

SWITCH_WAITS_MS = 2000

GRANT = TokenGrant("bench", "bench", SCOPES)
"""What the switch's token allows."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A marketplace whose offers are all in one campaign."""

    marketplace: Marketplace
    catalogue: Catalogue

    @property
    def campaign(self) -> Campaign:
        """The campaign that calls come to."""
        return self.catalogue.campaigns[CampaignId(CAMPAIGN)]

    @property
    def offers(self) -> tuple[OfferTerms, ...]:
        """The campaign's offers."""
        return self.campaign.offers


def a_sample(asked: int = 10, offers: int = 0) -> Sample:
    """``asked`` offers are eligible for the call, of ``offers`` in all."""
    options = MarketplaceOptions(ports=tuple(range(9000, 9000 + asked)), offers=offers)
    marketplace = read_marketplace(make_marketplace(options))
    return Sample(marketplace, build_catalogue(marketplace, 1))


def call_body(number: int = 0, run: str = "micro") -> bytes:
    """What the switch sends."""
    return CallBodies(run, SWITCH_WAITS_MS).body(number)


def a_call(number: int = 0, run: str = "micro") -> Call:
    """The call that comes of it, received now."""
    body: dict[str, Any] = orjson.loads(call_body(number, run))
    return read_call_request(body).to_call(GRANT, datetime.now(UTC), "US")


def a_bid(offer: OfferTerms, amount: Decimal, expires_at: datetime) -> Bid:
    """A valid bid of that offer."""
    return Bid(
        offer=offer.id,
        buyer=offer.buyer,
        amount=amount,
        priority=offer.priority,
        weight=offer.weight,
        expires_at=expires_at,
        destination=Destination("sip:sales@bench.example", 20),
        bid_id="b-1",
        minimum_duration_s=90,
    )
