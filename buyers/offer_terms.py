"""From the parts of an offer as an operator writes it to the terms that decisions read."""

from collections.abc import Iterable
from datetime import date
from zoneinfo import ZoneInfo

from auction.domain.hours import ALWAYS_OPEN, Hours
from auction.domain.ids import (
    OwnerId,
    SourceId,
)
from auction.domain.money import to_units
from auction.domain.terms import (
    Boost,
    Cap,
    ConversionRule,
    Destination,
    DuplicateRule,
    DuplicateScope,
    Measure,
    OwnerLimits,
    Period,
    ReturnTerms,
    Segment,
)
from auction.domain.validation import Requirement
from buyers.number_terms import filter_of
from config import marketplace as configured
from config import offers as configured_offers
from config.offers import read_week
from config.requirements import ConsentRule, Validation, requirement_of


def duplicate_rule(
    rule: configured_offers.Duplicates | None, default_scope: DuplicateScope
) -> DuplicateRule | None:
    """Which repeated callers are refused, None where all are welcome."""
    if rule is None:
        return None
    return DuplicateRule(rule.within_days, rule.after, rule.scope or default_scope)


def owner_limits(
    owner: OwnerId, zone: str, concurrency: int | None, caps: Iterable[configured_offers.Cap]
) -> OwnerLimits:
    """The concurrency and the caps of an offer or a buyer, whose windows are of this zone."""
    return OwnerLimits(owner, ZoneInfo(zone), concurrency, tuple(_cap(cap) for cap in caps))


def _cap(cap: configured_offers.Cap) -> Cap:
    limit = cap.limit if isinstance(cap.limit, int) else to_units(cap.limit)
    return Cap(Measure[cap.measure.upper()], Period[cap.per.upper()], limit)


def destination_of(destination: configured_offers.Destination | None) -> Destination | None:
    """Where calls go, None where nothing is written."""
    if destination is None:
        return None
    return Destination(
        uri=destination.uri,
        dial_timeout_s=destination.dial_timeout_s,
        send_digits=destination.send_digits,
        whisper=destination.whisper,
    )


def hours_of(hours: configured_offers.Hours | None, zone: str) -> Hours | None:
    """When an offer is open, None where it always is."""
    if hours is None:
        return None
    weekly = ALWAYS_OPEN if hours.weekly is None else read_week(tuple(hours.weekly.items()))
    closed = frozenset(date.fromisoformat(day) for day in hours.closed_dates)
    return Hours(ZoneInfo(zone), weekly, closed)


def requirements_of(offer: configured_offers.Offer) -> tuple[Requirement, ...]:
    """What a call must bring, from validations and consents."""
    rules: list[Validation | ConsentRule] = [*offer.validations, *offer.consents]
    return tuple(map(requirement_of, rules))


def return_terms(returns: configured_offers.Returns | None) -> ReturnTerms | None:
    """Whether and how long a buyer may return calls."""
    if returns is None:
        return None
    withdraws = returns.payout == "withdraw"
    return ReturnTerms(returns.within_days, frozenset(returns.reasons), withdraws)


def segments_outside(campaign: configured.Campaign, buyer: configured.Buyer) -> tuple[Segment, ...]:
    """The segments of the campaign that this buyer has no tag of."""
    return tuple(
        Segment(" or ".join(segment.tags), tuple(filter_of(rule) for rule in segment.when))
        for segment in campaign.segments
        if set(segment.tags).isdisjoint(buyer.tags)
    )


def boosts_of(
    campaign: configured.Campaign, buyer: configured.Buyer, offer: configured_offers.Offer
) -> tuple[Boost, ...]:
    """The boosts of the campaign that speak of this offer."""
    return tuple(
        Boost(boost.factor, None if boost.source is None else SourceId(boost.source))
        for boost in campaign.auction.boosts
        if (boost.tag is None or boost.tag in buyer.tags) and boost.offer in (None, offer.id)
    )


def conversion_rule(rule: configured_offers.ConversionRule) -> ConversionRule:
    """What makes a call payable."""
    return ConversionRule(
        trigger=rule.trigger,
        connected_s=rule.connected_s or 0,
        amount=rule.amount,
        dedupe_days=rule.dedupe_days,
        postback_within_h=rule.postback_within_h,
    )
