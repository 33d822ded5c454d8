"""Values for tests, complete and valid unless a test says otherwise."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from auction.domain.bidding import Bid
from auction.domain.call import Call, Caller, FieldValue
from auction.domain.ids import (
    BuyerId,
    CallId,
    CampaignId,
    OfferId,
    SourceId,
    buyer_owner,
    offer_owner,
)
from auction.domain.terms import (
    BuyerType,
    Campaign,
    Cap,
    Catalogue,
    Destination,
    OfferTerms,
    OwnerLimits,
    PingPostTerms,
)

NEW_YORK = ZoneInfo("America/New_York")
NOON = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
"""A Friday noon in New York, in standard time."""

CALLER = Caller("+13105551234", "310", "CA", "US")
CAMPAIGN = CampaignId("auto-insurance")
DIALED_NUMBER = "+18005550100"


def a_call(
    call_id: str = "call-1", *, fields: Mapping[str, FieldValue] | None = None, **changes: Any
) -> Call:
    """A call from California to the campaign, at noon in New York."""
    values: dict[str, Any] = {
        "campaign": None,
        "dialed_number": DIALED_NUMBER,
        "caller": CALLER,
        "source": SourceId("pub-17"),
        "received_at": NOON,
        "timeout_ms": 2000,
        **changes,
    }
    default = {"vertical": "auto_insurance", "zip_code": "90210"}
    return Call(call_id=CallId(call_id), fields=default if fields is None else fields, **values)


def ping_post(minimum_bid: str = "30.00", **changes: Any) -> PingPostTerms:
    """Terms of an offer that bids and is posted to, half a second for each."""
    values: dict[str, Any] = {"ping_timeout_ms": 500, "post_timeout_ms": 500, **changes}
    return PingPostTerms(minimum_bid=Decimal(minimum_bid), **values)


def an_offer(
    offer_id: str = "acme-auto",
    *,
    buyer: str = "acme",
    campaign: str = CAMPAIGN,
    caps: Iterable[Cap] = (),
    concurrency: int | None = None,
    buyer_caps: Iterable[Cap] = (),
    buyer_concurrency: int | None = None,
    zone: ZoneInfo = NEW_YORK,
    **changes: Any,
) -> OfferTerms:
    """An offer that bids; ``static_price="18.00", ping_post=None`` makes it a static one."""
    offer, owner = OfferId(offer_id), BuyerId(buyer)
    values: dict[str, Any] = {
        "buyer_type": BuyerType.BUYER,
        "destination": Destination(f"sip:{offer_id}@buyer.example", 20),
        "ping_post": ping_post(),
        **changes,
    }
    if isinstance(values.get("static_price"), str):
        values["static_price"] = Decimal(values["static_price"])
    limits = (
        OwnerLimits(offer_owner(offer), zone, concurrency, tuple(caps)),
        OwnerLimits(buyer_owner(owner), zone, buyer_concurrency, tuple(buyer_caps)),
    )
    return OfferTerms(offer, CampaignId(campaign), owner, limits=limits, **values)


def a_static_offer(
    offer_id: str = "cobalt-auto", price: str = "18.00", *, buyer: str = "cobalt", **changes: Any
) -> OfferTerms:
    """An offer that takes calls at a fixed price and never bids."""
    return an_offer(offer_id, buyer=buyer, static_price=price, ping_post=None, **changes)


def a_bid(offer: str = "acme-auto", amount: str = "52.00", **changes: Any) -> Bid:
    """A valid bid."""
    values: dict[str, Any] = {
        "buyer": BuyerId(offer.partition("-")[0]),
        "priority": 1,
        "weight": 1,
        "expires_at": NOON.replace(minute=1),
        "destination": Destination(f"sip:{offer}@buyer.example"),
        **changes,
    }
    return Bid(offer=OfferId(offer), amount=Decimal(amount), **values)


def a_campaign(
    *offers: OfferTerms,
    campaign_id: str = CAMPAIGN,
    numbers: Iterable[str] = (DIALED_NUMBER,),
    **changes: Any,
) -> Campaign:
    """A campaign with these offers (by default one), in order of id."""
    chosen = offers or (an_offer(campaign=campaign_id),)
    values: dict[str, Any] = {"allowed_countries": frozenset({"US"}), **changes}
    return Campaign(
        id=CampaignId(campaign_id),
        name=campaign_id,
        offers=tuple(sorted(chosen, key=lambda offer: offer.id)),
        numbers=tuple(numbers),
        **values,
    )


def a_catalogue(*campaigns: Campaign, revision: int = 1, currency: str = "USD") -> Catalogue:
    """A marketplace of these campaigns (by default one with one offer)."""
    chosen = campaigns or (a_campaign(),)
    return Catalogue(
        revision=revision,
        currency=currency,
        zone=NEW_YORK,
        campaigns={campaign.id: campaign for campaign in chosen},
        campaign_by_number={
            number: campaign.id for campaign in chosen for number in campaign.numbers
        },
        offers={offer.id: offer for campaign in chosen for offer in campaign.offers},
    )
