"""A call's record as ``GET /v1/calls/{call_id}`` shows it to one token."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from auction.domain.decision import AttemptRecord, CallRecord, Trace, TraceEntry
from auction.domain.money import render
from auction.domain.phone import mask
from auction.domain.terms import Campaign
from auction.web.authentication import Scope
from auction.web.explanation import render_entry
from auction.web.services import Grant


@dataclass(frozen=True, slots=True)
class View:
    """What one token may see: a buyer's token its own side of a call only, a source's likewise."""

    buyer: str | None
    source: str | None
    unmasked: bool

    @classmethod
    def of(cls, grant: Grant) -> "View":
        """The view of a token."""
        return cls(grant.buyer, grant.source, Scope.PII in grant.scopes)

    def allows(self, record: CallRecord) -> bool:
        """Whether the call may be seen at all."""
        if self.buyer is not None and record.buyer != self.buyer:
            return False
        return self.source is None or record.call.source == self.source

    @property
    def sees_revenue(self) -> bool:
        """A source is not told what its calls were sold for."""
        return self.source is None

    @property
    def sees_payout(self) -> bool:
        """A buyer is not told what its calls were bought for."""
        return self.buyer is None


def render_cdr(record: CallRecord, view: View, own_offers: frozenset[str]) -> dict[str, object]:
    """The CDR of the contract: money as text, times in UTC, durations in seconds.

    ``own_offers`` are the attempts that a buyer's token is shown.
    """
    call = record.call
    sold = view.sees_revenue
    attempts = [each for each in record.attempts if view.buyer is None or each.offer in own_offers]
    return {
        "call_id": call.call_id,
        "campaign": record.campaign,
        "source": call.source,
        "dialed_number": call.dialed_number,
        "caller_id": _caller_id(call.caller.number, view),
        "started_at": _instant(call.received_at),
        "answered_at": _instant(record.answered_at),
        "ended_at": _instant(record.ended_at),
        "total_duration_s": _seconds(record.total_duration_s),
        "connected_duration_s": _seconds(record.connected_duration_s),
        "ended_by": record.ended_by,
        "state": record.state,
        "routed_by": None if record.routed_by is None else record.routed_by.value,
        "buyer": record.buyer,
        "offer": record.offer,
        "price": _money(record.price) if sold else None,
        "currency": record.currency,
        "converted": record.converted,
        "conversion_trigger": record.conversion_trigger,
        "revenue": _money(record.revenue) if sold else None,
        "payout": _money(record.payout) if view.sees_payout else None,
        "attempts": [_attempt(each, sold=sold) for each in attempts],
    }


def render_trace(trace: Trace, entries: Sequence[TraceEntry], view: View) -> dict[str, object]:
    """The decision trace of the contract; times in milliseconds."""
    timings = trace.timings
    return {
        "eligible_ms": timings.eligible_ms,
        "ping_ms": timings.ping_ms,
        "post_ms": timings.post_ms,
        "total_ms": timings.total_ms,
        "offers": [render_entry(each, unmasked=view.unmasked) for each in entries],
    }


def own_offers(campaign: Campaign | None, record: CallRecord) -> frozenset[str]:
    """The offers of the campaign that belong to the buyer who got the call."""
    offers = campaign.offers if campaign else ()
    own = {offer.id for offer in offers if offer.buyer == record.buyer}
    return frozenset(own | ({record.offer} if record.offer else set()))


def _attempt(attempt: AttemptRecord, *, sold: bool) -> dict[str, object]:
    return {
        "attempt": attempt.attempt,
        "offer": attempt.offer,
        "routed_by": attempt.routed_by.value,
        "price": _money(attempt.price) if sold else None,
        "outcome": attempt.outcome,
        "reason": attempt.reason,
    }


def _caller_id(number: str | None, view: View) -> str | None:
    return number if number is None or view.unmasked else mask(number)


def _money(amount: Decimal | None) -> str | None:
    return None if amount is None else render(amount)


def _seconds(duration: Decimal | None) -> int | float | None:
    if duration is None:
        return None
    whole = int(duration)
    return whole if whole == duration else float(duration)


def _instant(at: datetime | None) -> str | None:
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
