"""Callers who are on lists of numbers that are not to be sold."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from auction.domain.ids import BuyerId, SuppressionId

SuppressionRules = Mapping[SuppressionId, BuyerId | None]
"""The lists that matter to a campaign, and whose offers each keeps from its callers; None: all."""


@dataclass(frozen=True, slots=True)
class Suppressed:
    """What lists forbid: the whole campaign (``blocked_by``), or the offers of some buyers."""

    blocked_by: SuppressionId | None = None
    buyers: Mapping[BuyerId, SuppressionId] = field(default_factory=dict)


NOT_SUPPRESSED: Final = Suppressed()


def on_list(suppression: SuppressionId) -> str:
    """What is told of an offer that is kept from a caller."""
    return f"caller is on list {suppression}"


def suppressed(rules: SuppressionRules, on: Iterable[SuppressionId]) -> Suppressed:
    """What is forbidden to a caller who is ``on`` these lists, the first by name told."""
    matter = [each for each in sorted(on) if each in rules]
    if not matter:
        return NOT_SUPPRESSED
    blocked_by = next((each for each in matter if rules[each] is None), None)
    buyers: dict[BuyerId, SuppressionId] = {}
    for each in matter:
        buyer = rules[each]
        if buyer is not None:
            buyers.setdefault(buyer, each)
    return Suppressed(blocked_by, buyers)
