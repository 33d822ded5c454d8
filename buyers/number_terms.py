"""From numbers and pools as an operator writes them to the terms that decisions read."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from auction.domain.filters import Filter, Op, prepare
from auction.domain.ids import CampaignId, OfferId, PoolId, SourceId
from auction.domain.numbers import NumberRule, NumberTerms, PoolTerms
from config import marketplace
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


def numbers_by_campaign(
    market: marketplace.Marketplace, numbers: Iterable[NumberTerms], pools: Iterable[PoolTerms]
) -> Mapping[CampaignId, Sequence[str]]:
    """Every number whose calls come in to a campaign, by campaign."""
    found: defaultdict[CampaignId, list[str]] = defaultdict(list)
    for campaign in market.campaigns:
        found[CampaignId(campaign.id)] += campaign.numbers
    for number in numbers:
        found[number.campaign].append(number.number)
    for pool in pools:
        found[pool.campaign] += pool.numbers
    known = {number for each in found.values() for number in each}
    for pool in pools:
        # A number that visitors are shown must lead somewhere, even one that nobody has written.
        if pool.fallback_number is not None and pool.fallback_number not in known:
            known.add(pool.fallback_number)
            found[pool.campaign].append(pool.fallback_number)
    return found


def left_to_lend(market: marketplace.Marketplace) -> Mapping[SourceId, int]:
    """How many numbers of pools each source may have at once, beside those that are its own."""
    own = Counter(number.source for number in market.numbers)
    return {
        SourceId(source.id): max(0, source.number_cap - own[source.id])
        for source in market.sources
        if source.number_cap is not None
    }


def _rule(rule: configured.NumberRule) -> NumberRule:
    return NumberRule(
        accepts=rule.action == "accept",
        filters=tuple(filter_of(each) for each in rule.filters),
        offers=frozenset(OfferId(each) for each in rule.offers),
    )


def _source(name: str | None) -> SourceId | None:
    return None if name is None else SourceId(name)
