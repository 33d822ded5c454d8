"""What bidders that ask for it are told once a call is decided."""

from dataclasses import dataclass
from decimal import Decimal

from auction.domain.ids import CampaignId, OfferId, PingId
from auction.domain.reasons import Reason


@dataclass(frozen=True, slots=True)
class Notice:
    """One bidder's news; nothing of the caller or the call is in it.

    ``bid`` is what the buyer bid, None where it could not be read. ``reason`` None: it has won, at
    ``price``; a loser never hears the price.
    """

    offer: OfferId
    campaign: CampaignId
    ping_id: PingId
    bid_id: str | None = None
    bid: Decimal | None = None
    reason: Reason | None = None
    price: Decimal | None = None

    @property
    def won(self) -> bool:
        """Whether the call went to this bid."""
        return self.reason is None
