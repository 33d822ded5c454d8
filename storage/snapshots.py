"""A call's record as it was when something happened, from what was stored with the fact."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from auction.domain.call_record import AttemptRecord, CallRecord
from auction.domain.plan import RoutedBy


def as_it_was(record: CallRecord, facts: Mapping[str, Any]) -> CallRecord:
    """A record of now with its changing part as ``facts`` (those of a delivery) tell it."""
    return replace(
        record,
        state=facts["state"],
        reason=facts["reason"],
        routed_by=None if facts["routed_by"] is None else RoutedBy(facts["routed_by"]),
        offer=facts["offer"],
        buyer=facts["buyer"],
        price=_number(facts["price"]),
        currency=facts["currency"],
        answered_at=_instant(facts["answered_at"]),
        ended_at=_instant(facts["ended_at"]),
        total_duration_s=_number(facts["total_duration_s"]),
        connected_duration_s=_number(facts["connected_duration_s"]),
        ended_by=facts["ended_by"],
        converted=facts["converted_by"] is not None,
        conversion_trigger=facts["converted_by"],
        revenue=_number(facts["revenue"]) or Decimal(0),
        payout=_number(facts["payout"]) or Decimal(0),
        attempts=tuple(_attempt(row) for row in facts["attempts"] or ()),
    )


def offers_of(buyer: str, facts: Mapping[str, Any]) -> frozenset[str]:
    """The offers of a buyer that the call was routed to."""
    return frozenset(offer for _, offer, *_, owner in facts["attempts"] or () if owner == buyer)


def _attempt(row: Sequence[Any]) -> AttemptRecord:
    attempt, offer, routed_by, price, outcome, reason, _ = row
    return AttemptRecord(attempt, offer, RoutedBy(routed_by), Decimal(price), outcome, reason)


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
