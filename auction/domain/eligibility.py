"""Whether an offer may be asked for a call, and the one reason when it may not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from auction.domain import hours
from auction.domain.call import Call
from auction.domain.conversions import payable_rules
from auction.domain.decision import PastCall
from auction.domain.duplicates import is_duplicate
from auction.domain.filters import lookup, matches
from auction.domain.ids import OwnerId
from auction.domain.money import to_units
from auction.domain.reasons import Reason
from auction.domain.terms import Cap, OfferTerms, Period
from auction.domain.usage import Units, Usage, is_full, reached_cap
from auction.domain.windows import window_starts


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an offer is not asked. ``detail`` names the field or the limit, never a field's value."""

    reason: Reason
    detail: str | None = None


_PAUSED: Final = Refusal(Reason.PAUSED)
_BUYER_PAUSED: Final = Refusal(Reason.PAUSED, "buyer")
_NOT_FOR_SALE: Final = Refusal(Reason.NOT_FOR_SALE)
_SOURCE_BLOCKED: Final = Refusal(Reason.SOURCE_BLOCKED)
_CLOSED: Final = Refusal(Reason.CLOSED)
_HOLIDAY: Final = Refusal(Reason.HOLIDAY)
_DUPLICATE: Final = Refusal(Reason.DUPLICATE_CALLER)
_UNUSED: Final = Usage()
_OWNERS: Final = ("", "buyer ")
"""How a detail begins, in the order of ``OfferTerms.limits``."""


def fixed_refusal(call: Call, offer: OfferTerms) -> Refusal | None:
    """Why the terms alone refuse the call: paused, not for sale, source, hours, fields, filters.

    Follows from its arguments (the arrival time included), so that a trace need not store it. None:
    allowed.
    """
    return _switched_off(call, offer) or _closed(call, offer) or _unwanted(call, offer)


def _switched_off(call: Call, offer: OfferTerms) -> Refusal | None:
    if not offer.enabled:
        return _PAUSED
    if not offer.buyer_enabled:
        return _BUYER_PAUSED
    if not offer.auctioned and offer.static_amount is None:
        return _NOT_FOR_SALE
    return _SOURCE_BLOCKED if call.source in offer.blocked_sources else None


def _closed(call: Call, offer: OfferTerms) -> Refusal | None:
    reason = None if offer.hours is None else hours.refusal(offer.hours, call.received_at)
    if reason is None:
        return None
    return _HOLIDAY if reason is Reason.HOLIDAY else _CLOSED


def _unwanted(call: Call, offer: OfferTerms) -> Refusal | None:
    for field in offer.required_fields:
        if lookup(call, field) is None:
            return Refusal(Reason.MISSING_FIELD, field)
    for condition in offer.filters:
        if not matches(condition, call):
            return Refusal(Reason.FILTERED, condition.field)
    return None


def current_refusal(
    call: Call, offer: OfferTerms, past_calls: Sequence[PastCall], usage: Mapping[OwnerId, Usage]
) -> Refusal | None:
    """Why the offer can't take the call now: sold before, a cap, concurrency. None: it can.

    ``usage`` may be a moment old: the ledger decides. Test calls use no cap and no concurrency.
    """
    rule = offer.duplicates
    if rule is not None and is_duplicate(
        rule, offer.id, offer.buyer, offer.campaign, past_calls, call.received_at
    ):
        return _DUPLICATE
    if call.test or not any(limits.limited for limits in offer.limits):
        return None
    return _cap_reached(call, offer, usage) or _concurrency_full(offer, usage)


def _cap_reached(call: Call, offer: OfferTerms, usage: Mapping[OwnerId, Usage]) -> Refusal | None:
    units = hold_units(offer, _lowest_price(offer))
    for owner, limits in zip(_OWNERS, offer.limits, strict=True):
        if limits.caps:
            starts = window_starts(call.received_at, limits.zone)
            cap = reached_cap(usage.get(limits.owner, _UNUSED), limits, starts, units)
            if cap is not None:
                return Refusal(Reason.CAP_REACHED, owner + describe(cap))
    return None


def _concurrency_full(offer: OfferTerms, usage: Mapping[OwnerId, Usage]) -> Refusal | None:
    for owner, limits in zip(_OWNERS, offer.limits, strict=True):
        if is_full(usage.get(limits.owner, _UNUSED), limits):
            return Refusal(Reason.CONCURRENCY_FULL, f"{owner}concurrency")
    return None


def _lowest_price(offer: OfferTerms) -> Decimal:
    """The lowest price at which the call could go there: if that does not fit, nothing does."""
    terms = offer.ping_post if offer.auctioned else None
    bid = None if terms is None else terms.fixed_amount or terms.minimum_bid
    prices = (bid, offer.static_amount)
    return min((price for price in prices if price is not None), default=Decimal(0))


def describe(cap: Cap) -> str:
    """A cap in words: ``calls per day``, ``revenue in total``."""
    measure = cap.measure.name.lower()
    return (
        f"{measure} in total"
        if cap.period is Period.TOTAL
        else f"{measure} per {cap.period.name.lower()}"
    )


def hold_units(offer: OfferTerms, price: Decimal) -> Units:
    """What a route at this price holds until it is settled.

    One call, one answer, and where a conversion rule could earn one conversion and the largest
    amount that any rule could give. Buyers that are not billed earn nothing.
    """
    rules = payable_rules(offer)
    if not rules:
        return (1, 1, 0, 0)
    largest = max(price if rule.amount is None else rule.amount for rule in rules)
    return (1, 1, 1, to_units(largest))
