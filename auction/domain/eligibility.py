"""Whether an offer may be asked for a call, and the one reason when it may not."""

from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Final

from auction.domain import hours
from auction.domain.call import Call
from auction.domain.conversions import payable_rules
from auction.domain.filters import lookup, matches
from auction.domain.money import to_units
from auction.domain.reasons import Reason
from auction.domain.terms import Cap, Measure, OfferTerms, Period
from auction.domain.usage import Units


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an offer is not asked. ``detail`` names the field or the limit, never a field's value."""

    reason: Reason
    detail: str | None = None


_PAUSED: Final = Refusal(Reason.PAUSED)
_BUYER_PAUSED: Final = Refusal(Reason.PAUSED, "buyer")
_NOT_FOR_SALE: Final = Refusal(Reason.NOT_FOR_SALE)
SOURCE_BLOCKED: Final = Refusal(Reason.SOURCE_BLOCKED)
CLOSED: Final = Refusal(Reason.CLOSED)
HOLIDAY: Final = Refusal(Reason.HOLIDAY)
DUPLICATE: Final = Refusal(Reason.DUPLICATE_CALLER)
_OWNERS: Final = ("", "buyer ")
"""How a detail begins, in the order of ``OfferTerms.limits``."""


def fixed_refusal(call: Call, offer: OfferTerms) -> Refusal | None:
    """Why the terms alone refuse the call.

    Paused, not for sale, source, hours, missing fields, filters, segments, form of fields, consent.

    Follows from its arguments (the arrival time included), so that a trace need not store it. None:
    allowed. ``auction.domain.compiled`` says the same of offers that are switched on and for sale.
    """
    return (
        switched_off(offer)
        or _source_blocked(call, offer)
        or _closed(call, offer)
        or _unwanted(call, offer)
    )


def switched_off(offer: OfferTerms) -> Refusal | None:
    """Why the offer takes no call at all: paused, or not for sale. None: it takes some."""
    if not offer.enabled:
        return _PAUSED
    if not offer.buyer_enabled:
        return _BUYER_PAUSED
    if not offer.auctioned and offer.static_amount is None:
        return _NOT_FOR_SALE
    return None


def _source_blocked(call: Call, offer: OfferTerms) -> Refusal | None:
    return SOURCE_BLOCKED if call.source in offer.blocked_sources else None


def _closed(call: Call, offer: OfferTerms) -> Refusal | None:
    reason = None if offer.hours is None else hours.refusal(offer.hours, call.received_at)
    if reason is None:
        return None
    return HOLIDAY if reason is Reason.HOLIDAY else CLOSED


def _unwanted(call: Call, offer: OfferTerms) -> Refusal | None:
    for field in offer.required_fields:
        if lookup(call, field) is None:
            return Refusal(Reason.MISSING_FIELD, field)
    for condition in offer.filters:
        if not matches(condition, call):
            return Refusal(Reason.FILTERED, condition.field)
    for segment in offer.outside:
        if all(matches(condition, call) for condition in segment.when):
            return Refusal(Reason.OUTSIDE_SEGMENT, segment.name)
    for required in offer.requirements:
        fault = required.fault(lookup(call, required.field), call.received_at)
        if fault is not None:
            return Refusal(fault, required.field)
    return None


def cap_refusal(place: int, cap: Cap) -> Refusal:
    """A cap of the owner at this place in ``OfferTerms.limits`` is reached."""
    return _cap_refusal(place, cap.measure, cap.period)


@cache
def _cap_refusal(place: int, measure: Measure, period: Period) -> Refusal:
    return Refusal(Reason.CAP_REACHED, _OWNERS[place] + _in_words(measure, period))


@cache
def concurrency_refusal(place: int) -> Refusal:
    """The owner at this place in ``OfferTerms.limits`` has as many live calls as it may."""
    return Refusal(Reason.CONCURRENCY_FULL, f"{_OWNERS[place]}concurrency")


def lowest_price(offer: OfferTerms) -> Decimal:
    """The lowest price at which the call could go there: if that does not fit, nothing does."""
    terms = offer.ping_post if offer.auctioned else None
    bid = None if terms is None else terms.fixed_amount or terms.minimum_bid
    prices = (bid, offer.static_amount)
    return min((price for price in prices if price is not None), default=Decimal(0))


def _in_words(measure: Measure, period: Period) -> str:
    """A cap in words: ``calls per day``, ``revenue in total``."""
    name = measure.name.lower()
    return f"{name} in total" if period is Period.TOTAL else f"{name} per {period.name.lower()}"


def hold_units(offer: OfferTerms, price: Decimal) -> Units:
    """What a route at this price holds until it is settled.

    One call, one answer, and where a conversion rule could earn one conversion and the largest
    amount that any rule could give. Buyers that are not billed earn nothing.
    """
    rules = payable_rules(offer)
    if not rules:
        return (1, 1, 0, 0)
    largest = max([price if rule.amount is None else rule.amount for rule in rules])
    return (1, 1, 1, to_units(largest))
