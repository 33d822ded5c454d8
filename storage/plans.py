"""A plan's candidates as JSON, compact: written once per call, read when a decider has died."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import orjson

from auction.domain.decision import Candidate, RoutedBy
from auction.domain.terms import (
    Cap,
    ConversionRule,
    Destination,
    DuplicateAfter,
    DuplicateRule,
    DuplicateScope,
    Measure,
    OwnerLimits,
    Period,
    Trigger,
)

Row: TypeAlias = Sequence[Any]


def dump_candidates(candidates: Sequence[Candidate]) -> bytes:
    """The candidates in their order."""
    return orjson.dumps([_candidate_row(candidate) for candidate in candidates])


def load_candidates(stored: bytes) -> tuple[Candidate, ...]:
    """What ``dump_candidates`` was given."""
    return tuple(_load_candidate(row) for row in orjson.loads(stored))


def rule_row(rule: ConversionRule) -> Row:
    """A conversion rule as JSON."""
    return (
        rule.trigger.value,
        rule.connected_s,
        None if rule.amount is None else str(rule.amount),
        rule.dedupe_days,
        rule.postback_within_h,
    )


def load_rule(row: Row) -> ConversionRule:
    """What ``rule_row`` was given."""
    trigger, connected_s, amount, dedupe_days, postback_within_h = row
    return ConversionRule(
        Trigger(trigger),
        connected_s,
        None if amount is None else Decimal(amount),
        dedupe_days,
        postback_within_h,
    )


def _candidate_row(candidate: Candidate) -> Row:
    place, expires_at, rule = candidate.destination, candidate.expires_at, candidate.duplicates
    return (
        candidate.offer,
        candidate.buyer,
        candidate.routed_by.value,
        str(candidate.price),
        place and (place.uri, place.dial_timeout_s, place.send_digits, place.whisper),
        candidate.posts,
        [_limits_row(limits) for limits in candidate.owners],
        candidate.units,
        rule and (rule.within_days, rule.after.value, rule.scope.value),
        candidate.ping_id,
        candidate.post_id,
        candidate.bid_id,
        expires_at and expires_at.isoformat(),
        candidate.minimum_duration_s,
        [rule_row(each) for each in candidate.conversions],
    )


def _load_candidate(row: Row) -> Candidate:
    offer, buyer, routed_by, price, place, posts, owners, units, rule = row[:9]
    ping_id, post_id, bid_id, expires_at, minimum_duration_s, conversions = row[9:]
    return Candidate(
        offer=offer,
        buyer=buyer,
        routed_by=RoutedBy(routed_by),
        price=Decimal(price),
        destination=place and Destination(*place),
        posts=posts,
        owners=tuple(_load_limits(each) for each in owners),
        units=tuple(units),
        duplicates=rule
        and DuplicateRule(rule[0], DuplicateAfter(rule[1]), DuplicateScope(rule[2])),
        ping_id=ping_id,
        post_id=post_id,
        bid_id=bid_id,
        expires_at=expires_at and datetime.fromisoformat(expires_at),
        minimum_duration_s=minimum_duration_s,
        conversions=tuple(load_rule(each) for each in conversions),
    )


def _limits_row(limits: OwnerLimits) -> Row:
    caps = [(int(cap.measure), int(cap.period), cap.limit) for cap in limits.caps]
    return (limits.owner, limits.zone.key, limits.concurrency, caps)


def _load_limits(row: Row) -> OwnerLimits:
    owner, zone, concurrency, caps = row
    return OwnerLimits(
        owner,
        ZoneInfo(zone),
        concurrency,
        tuple(Cap(Measure(measure), Period(period), limit) for measure, period, limit in caps),
    )
