"""Dialled numbers: what is known of their calls, which they take, and pools that lend them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from auction.domain.call import Call, FieldValue
from auction.domain.filters import Filter, matches
from auction.domain.ids import CampaignId, OfferId, PoolId, SourceId
from auction.domain.value import value


@dataclass(frozen=True, slots=True)
class NumberRule:
    """Speaks of the calls that meet all ``filters``: of all offers, or of ``offers`` only."""

    accepts: bool
    filters: tuple[Filter, ...] = ()
    offers: frozenset[OfferId] = frozenset()

    def speaks_of(self, call: Call) -> bool:
        """Whether the call meets every filter."""
        return all(matches(condition, call) for condition in self.filters)


@dataclass(frozen=True, slots=True)
class NumberTerms:
    """One dialled number. ``tags`` are fields that its calls get where they have none of the name.

    ``call_rules`` take or reject whole calls, ``offer_rules`` choose among offers.
    """

    number: str
    campaign: CampaignId
    source: SourceId | None = None
    tags: Mapping[str, FieldValue] = field(default_factory=dict)
    call_rules: tuple[NumberRule, ...] = ()
    offer_rules: tuple[NumberRule, ...] = ()

    def rejects(self, call: Call) -> bool:
        """Whether the call gets no route: a rule rejects it, or none of those that accept does."""
        met = [rule.accepts for rule in self.call_rules if rule.speaks_of(call)]
        if not all(met):
            return True
        return not met and any(rule.accepts for rule in self.call_rules)

    def choice(self, call: Call) -> "OfferChoice | None":
        """Which offers the call may go to; None: any."""
        met = [rule for rule in self.offer_rules if rule.speaks_of(call)]
        if not met:
            return None
        only: frozenset[OfferId] = frozenset().union(*(r.offers for r in met if r.accepts))
        without: frozenset[OfferId] = frozenset().union(*(r.offers for r in met if not r.accepts))
        return OfferChoice(only if any(rule.accepts for rule in met) else None, without)


@value(frozen=True, slots=True)
class OfferChoice:
    """The offers that a number's rules leave: ``only`` these (None: all), ``without`` those."""

    only: frozenset[OfferId] | None
    without: frozenset[OfferId]

    def allows(self, offer: OfferId) -> bool:
        """Whether the offer is left."""
        return offer not in self.without and (self.only is None or offer in self.only)


@dataclass(frozen=True, slots=True)
class PoolTerms:
    """Numbers that are lent to visitors, one each; times in seconds, see ``config.numbers``."""

    id: PoolId
    campaign: CampaignId
    numbers: tuple[str, ...]
    lease_s: int
    heartbeat_s: int
    grace_s: int
    source: SourceId | None = None
    fallback_number: str | None = None
    cap: int | None = None


@value(frozen=True, slots=True)
class Lent:
    """What a lease says of the calls to its number."""

    source: SourceId | None
    tags: Mapping[str, FieldValue]


def joined(call: Call, source: SourceId | None, tags: Mapping[str, FieldValue]) -> Call:
    """The call with what its number says; what the switch says of it stands."""
    if not tags and (source is None or call.source is not None):
        return call
    return replace(call, source=call.source or source, fields={**tags, **call.fields})
