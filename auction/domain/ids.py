"""Identifiers, one type each, so that an offer's id is never passed for a buyer's."""

from typing import NewType

CallId = NewType("CallId", str)
CampaignId = NewType("CampaignId", str)
OfferId = NewType("OfferId", str)
BuyerId = NewType("BuyerId", str)
SourceId = NewType("SourceId", str)
PoolId = NewType("PoolId", str)
PingId = NewType("PingId", str)
PostId = NewType("PostId", str)
SuppressionId = NewType("SuppressionId", str)

OwnerId = NewType("OwnerId", str)
"""Whose caps are counted: ``offer:<id>`` or ``buyer:<id>``."""


def offer_owner(offer: OfferId) -> OwnerId:
    """The owner under which an offer's caps are counted."""
    return OwnerId(f"offer:{offer}")


def buyer_owner(buyer: BuyerId) -> OwnerId:
    """The owner under which a buyer's caps are counted."""
    return OwnerId(f"buyer:{buyer}")
