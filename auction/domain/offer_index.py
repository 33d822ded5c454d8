"""Which offers of a campaign a call has to look at: found by its fields, not by asking each."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from auction.domain.call_view import CallView, OpeningHours
from auction.domain.compiled import CompiledOffer, Compiler
from auction.domain.eligibility import switched_off
from auction.domain.ids import CampaignId, OfferId
from auction.domain.offer_tree import Bucket, Node, tree_of
from auction.domain.terms import Catalogue, OfferTerms

ANEW_UP_TO: Final = 256
"""So many offers are indexed anew as quickly as what of them has changed is found."""

MOST_CHANGED: Final = 1 / 4
"""When more of the offers have changed than this share, all are indexed anew."""

WORN: Final = 1 / 16
"""When more of the offers have changed than this share, it is time to index all anew."""

_ID: Final = attrgetter("id")


@dataclass(frozen=True, slots=True)
class _Layer:
    """Offers that were indexed together."""

    offers: Mapping[OfferId, CompiledOffer]
    root: Node
    by_opening: Mapping[OpeningHours, Bucket]

    @classmethod
    def of(cls, offers: Iterable[OfferTerms], compiler: Compiler) -> "_Layer":
        compiled = [compiler.compile(offer) for offer in offers]
        by_id = {each.id: each for each in compiled}
        return cls(by_id, tree_of(compiled), _by_opening(compiled))


@dataclass(frozen=True, slots=True, eq=False)
class OfferIndex:
    """The offers of one campaign that are switched on and for sale; finds them in order of id.

    Never changed: what differs in the next revision is a layer upon what both have in ``common``,
    so that it takes the time of what has ``changed``; ``gone`` are those of ``common`` that are not
    there any more or not as they were.
    """

    common: _Layer
    changed: _Layer | None = None
    gone: frozenset[CompiledOffer] = frozenset()

    @classmethod
    def of(cls, offers: Iterable[OfferTerms], compiler: Compiler) -> "OfferIndex":
        """All indexed together."""
        return cls(_Layer.of([each for each in offers if switched_off(each) is None], compiler))

    def updated(self, offers: Sequence[OfferTerms]) -> "OfferIndex":
        """The index of these offers; those that are the same objects as before are taken over."""
        before = self._now()
        living = {offer.id: offer for offer in offers if switched_off(offer) is None}
        if _same(before, living):
            return self
        common = self.common.offers
        gone = [each for each in common.values() if living.get(each.id) is not each.terms]
        kept = common.keys() - {each.id for each in gone}
        changed = [offer for offer in living.values() if offer.id not in kept]
        if len(living) <= ANEW_UP_TO or len(changed) > MOST_CHANGED * len(living):
            return OfferIndex.of(living.values(), Compiler())
        layer = _Layer.of(changed, Compiler(self.common.by_opening)) if changed else None
        return OfferIndex(self.common, layer, frozenset(gone))

    @property
    def worn(self) -> bool:
        """Whether so much has changed that calls would be better served by ``anew``."""
        changed = 0 if self.changed is None else len(self.changed.offers)
        return max(changed, len(self.gone)) > WORN * len(self.common.offers)

    def anew(self) -> "OfferIndex":
        """The same offers, all indexed together."""
        return OfferIndex.of(self._now().values(), Compiler())

    def candidates(self, view: CallView) -> list[CompiledOffer]:
        """Every offer whose fixed terms may allow the call; all others refuse it."""
        found: list[CompiledOffer] = []
        self.common.root.collect(view, found)
        if self.gone:
            gone = self.gone
            found = [each for each in found if each not in gone]
        if self.changed is not None:
            self.changed.root.collect(view, found)
        found.sort(key=_ID)
        return found

    def allowed(self, view: CallView) -> list[CompiledOffer]:
        """The offers whose fixed terms allow the call."""
        return [each for each in self.candidates(view) if each.fixed_refusal(view) is None]

    def turned(self, before: CallView, now: CallView) -> Iterator[CompiledOffer]:
        """The offers whose hours do not say now what they said before."""
        for layer in self._layers():
            for opening, offers in layer.by_opening.items():
                if before.closed[opening] is not now.closed[opening]:
                    yield from (each for each in offers if each not in self.gone)

    def _layers(self) -> Sequence[_Layer]:
        return (self.common,) if self.changed is None else (self.common, self.changed)

    def _now(self) -> dict[OfferId, OfferTerms]:
        return {
            each.id: each.terms
            for layer in self._layers()
            for each in layer.offers.values()
            if each not in self.gone
        }


def index_offers(
    catalogue: Catalogue, known: Mapping[CampaignId, OfferIndex] | None = None
) -> dict[CampaignId, OfferIndex]:
    """The index of every campaign; what is the same as in the ``known`` ones is taken over."""
    compiler, known = Compiler(), known or {}
    return {
        campaign.id: (
            known[campaign.id].updated(campaign.offers)
            if campaign.id in known
            else OfferIndex.of(campaign.offers, compiler)
        )
        for campaign in catalogue.campaigns.values()
    }


def _same(before: Mapping[OfferId, OfferTerms], now: Mapping[OfferId, OfferTerms]) -> bool:
    return len(before) == len(now) and all(before.get(key) is each for key, each in now.items())


def _by_opening(offers: Iterable[CompiledOffer]) -> dict[OpeningHours, Bucket]:
    found: dict[OpeningHours, list[CompiledOffer]] = {}
    for offer in offers:
        if offer.opening is not None:
            found.setdefault(offer.opening, []).append(offer)
    return {opening: tuple(each) for opening, each in found.items()}
