"""Calls that a buyer gives back, and complaints: what is allowed, and what it undoes."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Final

from auction.domain.conversions import Booked, Entry, EntryKind, Side
from auction.domain.ids import CallId
from auction.domain.terms import ReturnTerms

_NOTHING: Final = Decimal(0)


class ClaimKind(Enum):
    """What a buyer claims: its money back, or that a call was no good."""

    RETURN = "return"
    COMPLAINT = "complaint"


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim as it came in, allowed by the terms."""

    kind: ClaimKind
    reason: str
    note: str | None = None
    claws_back: bool = False


class NotAllowed(Enum):
    """Why the terms refuse a claim."""

    NO_TERMS = "no_terms"
    OTHER_REASON = "other_reason"
    TOO_LATE = "too_late"


def why_not(
    terms: ReturnTerms | None, reason: str, call_at: datetime, now: datetime
) -> NotAllowed | None:
    """Why a claim is not allowed, None: it is. ``call_at``: when the call ended, or came in.

    The last moment of the window is inside it.
    """
    if terms is None:
        return NotAllowed.NO_TERMS
    if terms.reasons and reason not in terms.reasons:
        return NotAllowed.OTHER_REASON
    return NotAllowed.TOO_LATE if now - call_at > timedelta(days=terms.within_days) else None


def clawed_back(call_id: CallId, payout: Booked | None, credit: Entry) -> Entry | None:
    """What takes a payout that stands back with a buyer's ``credit``; None: none stands."""
    if payout is None or payout.withdrawn:
        return None
    return Entry(
        call_id=call_id,
        side=Side.SOURCE,
        attempt=payout.attempt,
        kind=EntryKind.WITHDRAWN,
        trigger=payout.trigger,
        amount=_NOTHING,
        change=-payout.amount,
        at=credit.at,
        actor=credit.actor,
        event_id=credit.event_id,
        note=credit.note,
        percent=payout.percent,
    )
