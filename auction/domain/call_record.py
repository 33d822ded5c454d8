"""All that storage keeps of one call."""

from datetime import datetime
from decimal import Decimal

from auction.domain.call import Call
from auction.domain.ids import BuyerId, CampaignId, OfferId
from auction.domain.opening import PastCall
from auction.domain.plan import RoutedBy
from auction.domain.value import value


@value(frozen=True, slots=True)
class AttemptRecord:
    """One route given for a call."""

    attempt: int
    offer: OfferId
    routed_by: RoutedBy
    price: Decimal
    outcome: str
    reason: str | None = None


@value(frozen=True, slots=True)
class CallRecord:
    """All that storage keeps of one call, as ``GET /v1/calls/{call_id}`` needs it.

    ``trace`` is that of the first decision, ``later_traces`` those of further attempts by number.
    """

    call: Call
    campaign: CampaignId | None
    revision: int
    state: str
    reason: str | None
    routed_by: RoutedBy | None
    buyer: BuyerId | None
    offer: OfferId | None
    price: Decimal | None
    currency: str | None
    answered_at: datetime | None
    ended_at: datetime | None
    total_duration_s: Decimal | None
    connected_duration_s: Decimal | None
    ended_by: str | None
    converted: bool
    conversion_trigger: str | None
    revenue: Decimal
    payout: Decimal
    past_calls: tuple[PastCall, ...]
    attempts: tuple[AttemptRecord, ...]
    trace: bytes | None
    later_traces: tuple[tuple[int, bytes], ...] = ()
