"""From numbers and pools as an operator writes them to the terms that decisions read."""

from auction.domain.filters import Filter, Op, prepare
from auction.domain.ids import CampaignId, OfferId, PoolId, SourceId
from auction.domain.numbers import NumberRule, NumberTerms, PoolTerms
from config import numbers as configured
from config.offers import FilterRule


def filter_of(rule: FilterRule) -> Filter:
    """One condition, ready to match."""
    return prepare(rule.field, Op(rule.op), rule.value)


def number_terms(number: configured.Number) -> NumberTerms:
    """The terms of a dialled number."""
    rules = [_rule(each) for each in number.rules]
    return NumberTerms(
        number=number.number,
        campaign=CampaignId(number.campaign),
        source=_source(number.source),
        tags=dict(number.tags),
        call_rules=tuple(rule for rule in rules if not rule.offers),
        offer_rules=tuple(rule for rule in rules if rule.offers),
    )


def pool_terms(pool: configured.Pool) -> PoolTerms:
    """The terms of a pool."""
    return PoolTerms(
        id=PoolId(pool.id),
        campaign=CampaignId(pool.campaign),
        numbers=pool.numbers,
        lease_s=pool.lease_s,
        heartbeat_s=pool.lease_s if pool.heartbeat_s is None else pool.heartbeat_s,
        grace_s=pool.grace_s,
        source=_source(pool.source),
        fallback_number=pool.fallback_number,
        cap=pool.cap,
    )


def _rule(rule: configured.NumberRule) -> NumberRule:
    return NumberRule(
        accepts=rule.action == "accept",
        filters=tuple(filter_of(each) for each in rule.filters),
        offers=frozenset(OfferId(each) for each in rule.offers),
    )


def _source(name: str | None) -> SourceId | None:
    return None if name is None else SourceId(name)
