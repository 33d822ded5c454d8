"""A plan's candidates as JSON, compact: written once per call, read when a decider has died."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

import orjson

from auction.domain.plan import Candidate, RoutedBy
from auction.domain.terms import (
    Cap,
    ConversionRule,
    Destination,
    DuplicateAfter,
    DuplicateRule,
    DuplicateScope,
    Measure,
    OwnerLimits,
    PayoutRule,
    Period,
    Trigger,
)

Row: TypeAlias = Sequence[Any]


def dump_candidates(candidates: Sequence[Candidate]) -> bytes:
    """The candidates in their order."""
    return orjson.dumps([_candidate_row(candidate) for candidate in candidates])


@dataclass(frozen=True, slots=True)
class _Terms:
    """An offer's terms as JSON, with the objects that they were made from."""

    owners: tuple[OwnerLimits, ...]
    conversions: tuple[ConversionRule, ...]
    duplicates: DuplicateRule | None
    payouts: tuple[PayoutRule, ...]
    json: orjson.Fragment


_KNOWN_TERMS: Final[dict[tuple[int, int, int, int], _Terms]] = {}
"""Terms by the identity of their objects: every plan repeats those of the catalogue."""

_MOST_KNOWN: Final = 20_000


def _terms_of(candidate: Candidate) -> orjson.Fragment:
    owners, conversions = candidate.owners, candidate.conversions
    duplicates, payouts = candidate.duplicates, candidate.payouts
    key = (id(owners), id(conversions), id(duplicates), id(payouts))
    known = _KNOWN_TERMS.get(key)
    if known is None:
        if len(_KNOWN_TERMS) >= _MOST_KNOWN:
            _KNOWN_TERMS.clear()
        row = (
            [_limits_row(limits) for limits in owners],
            [rule_row(rule) for rule in conversions],
            duplicates and (duplicates.within_days, duplicates.after.value, duplicates.scope.value),
            [payout_row(rule) for rule in payouts],
        )
        # Keeping the objects keeps their identities from being given to others.
        json = orjson.Fragment(orjson.dumps(row))
        known = _KNOWN_TERMS[key] = _Terms(owners, conversions, duplicates, payouts, json)
    return known.json


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


def payout_row(rule: PayoutRule) -> Row:
    """A payout rule as JSON."""
    return (
        rule.source,
        rule.trigger.value,
        rule.connected_s,
        None if rule.amount is None else str(rule.amount),
        None if rule.percent is None else str(rule.percent),
        rule.dedupe_days,
    )


def load_payout(row: Row) -> PayoutRule:
    """What ``payout_row`` was given."""
    source, trigger, connected_s, amount, percent, dedupe_days = row
    return PayoutRule(
        source,
        Trigger(trigger),
        connected_s,
        None if amount is None else Decimal(amount),
        None if percent is None else Decimal(percent),
        dedupe_days,
    )


def _candidate_row(candidate: Candidate) -> Row:
    place = candidate.destination
    return (
        candidate.offer,
        candidate.buyer,
        candidate.routed_by,
        str(candidate.price),
        (place.uri, place.dial_timeout_s, place.send_digits, place.whisper),
        candidate.posts,
        candidate.units,
        candidate.ping_id,
        candidate.post_id,
        candidate.bid_id,
        candidate.expires_at,
        candidate.minimum_duration_s,
        _terms_of(candidate),
    )


def _load_candidate(row: Row) -> Candidate:
    offer, buyer, routed_by, price, place, posts, units = row[:7]
    ping_id, post_id, bid_id, expires_at, minimum_duration_s, terms = row[7:]
    # Plans stored before there were payouts have none.
    owners, conversions, rule, *payouts = terms
    return Candidate(
        offer=offer,
        buyer=buyer,
        routed_by=RoutedBy(routed_by),
        price=Decimal(price),
        destination=Destination(*place),
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
        payouts=tuple(load_payout(each) for rules in payouts for each in rules),
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
