"""A call's record as it is shown to one token."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

from auction.domain.call_list import RecordedEntry
from auction.domain.call_record import AttemptRecord, CallRecord
from auction.domain.conversions import Side
from auction.domain.money import render
from auction.domain.phone import mask
from auction.domain.terms import Campaign
from auction.domain.trace import Trace, TraceEntry
from auction.engine.outcomes import quality_entry
from auction.redaction import mask_numbers
from auction.web.authentication import Scope
from auction.web.explanation import render_entry
from auction.web.services import Grant

_NOBODYS: frozenset[str] = frozenset()


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

    def allows(self, record: CallRecord, own: frozenset[str]) -> bool:
        """Whether the call may be seen at all; ``own`` are the offers of the buyer."""
        if self.source is not None and record.call.source != self.source:
            return False
        return self.sold_to(record) or any(each.offer in own for each in record.attempts)

    def sold_to(self, record: CallRecord) -> bool:
        """Whether what became of the call is this token's business: it went to no other buyer."""
        return self.buyer is None or record.buyer == self.buyer

    @property
    def sees_revenue(self) -> bool:
        """A source is not told what its calls were sold for."""
        return self.source is None

    @property
    def sees_payout(self) -> bool:
        """A buyer is not told what its calls were bought for."""
        return self.buyer is None


def render_cdr(record: CallRecord, view: View, own: frozenset[str]) -> dict[str, object]:
    """The CDR of the contract: money as text, times in UTC, durations in seconds.

    A buyer's token is shown the attempts at ``own`` offers, and what became of the call only when
    that buyer is the one who pays.
    """
    attempts = [each for each in record.attempts if view.buyer is None or each.offer in own]
    if not view.sold_to(record):
        record = _as_it_failed(record, attempts)
    call = record.call
    sold = view.sees_revenue
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
        "revenue": _money(record.revenue) if sold and view.sold_to(record) else None,
        "payout": _money(record.payout) if view.sees_payout else None,
        "attempts": [_attempt(each, sold=sold) for each in attempts],
        "test": call.test,
        "switch": call.switch,
        "reason": record.reason,
        "quality": call.quality,
    }


def render_listed(record: CallRecord, view: View) -> dict[str, object]:
    """The CDR of a call from a list, which holds no attempts but those that may be seen."""
    own = frozenset(each.offer for each in record.attempts) if view.buyer is not None else _NOBODYS
    return render_cdr(record, view, own)


def render_trace(
    trace: Trace, entries: Sequence[TraceEntry], view: View, own: frozenset[str]
) -> dict[str, object]:
    """The decision trace of the contract; times in milliseconds.

    A buyer is shown its ``own`` offers, a source none.
    """
    timings = trace.timings
    shown: dict[str, object] = {
        "eligible_ms": timings.eligible_ms,
        "ping_ms": timings.ping_ms,
        "post_ms": timings.post_ms,
        "total_ms": timings.total_ms,
        "offers": [
            render_entry(each, unmasked=view.unmasked)
            for each in entries
            if (each.offer in own if view.buyer is not None else view.source is None)
        ],
    }
    if trace.quality is not None:
        shown["quality"] = quality_entry(trace.quality)
    return shown


def render_history(
    entries: Iterable[RecordedEntry], record: CallRecord, view: View, own: frozenset[str]
) -> list[dict[str, object]]:
    """How the call's money came about, line by line: a token is shown its own side."""
    shown = {each.attempt for each in record.attempts if view.buyer is None or each.offer in own}
    return [
        _booking(each, view)
        for each in entries
        if each.entry.attempt in shown
        and (view.sees_revenue if each.entry.side is Side.BUYER else view.sees_payout)
    ]


def own_offers(
    campaigns: Iterable[Campaign | None], record: CallRecord, buyer: str | None
) -> frozenset[str]:
    """The offers of a buyer in any of the revisions of the call's campaign."""
    own = {
        offer.id
        for campaign in campaigns
        if campaign is not None
        for offer in campaign.offers
        if offer.buyer == buyer
    }
    if record.offer is not None and record.buyer == buyer:
        own.add(record.offer)
    return frozenset(own)


def _as_it_failed(record: CallRecord, attempts: Sequence[AttemptRecord]) -> CallRecord:
    """The record as a buyer knows it from whom the call went on to another, or to nobody."""
    return replace(
        record,
        state=attempts[-1].outcome if attempts else record.state,
        reason=None,
        routed_by=None,
        buyer=None,
        offer=None,
        price=None,
        answered_at=None,
        ended_at=None,
        total_duration_s=None,
        connected_duration_s=None,
        ended_by=None,
        converted=False,
        conversion_trigger=None,
    )


def _booking(recorded: RecordedEntry, view: View) -> dict[str, object]:
    entry = recorded.entry
    unmasked = view.unmasked or entry.note is None
    return {
        "side": entry.side.value,
        "kind": entry.kind.value,
        "amount": _money(entry.amount),
        "change": _money(entry.change),
        "trigger": entry.trigger.value,
        "at": _instant(entry.at),
        "recorded_at": _instant(recorded.recorded_at),
        "actor": entry.actor,
        "event_id": entry.event_id,
        "note": entry.note if unmasked else mask_numbers(entry.note or ""),
        "beyond_hold": entry.beyond_hold,
    }


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
    if at.tzinfo is not UTC:
        at = at.astimezone(UTC)
    return f"{at.isoformat(timespec='milliseconds')[:-6]}Z"
