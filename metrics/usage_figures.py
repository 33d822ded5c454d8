"""Live calls and cap usage as metrics show them: facts of the database, read from usage rows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from auction.domain.ids import OfferId, OwnerId, offer_owner
from auction.domain.terms import Catalogue, OfferTerms, OwnerLimits
from auction.domain.usage import Starts, Usage, window_at
from auction.domain.windows import window_starts
from metrics.names import CapOwner, cap_label, concurrency_label

_NO_USAGE = Usage()
_OFFERS = offer_owner(OfferId(""))


@dataclass(frozen=True, slots=True)
class UsageFigures:
    """Live calls per offer, and per offer and cap the used and pending share of the limit.

    Offers that are no longer in the catalogue have no shares, and live calls only while there are
    some.
    """

    live: Mapping[OfferId, int]
    ratios: Mapping[tuple[OfferId, str], float]


def usage_figures(
    catalogue: Catalogue, usage: Mapping[OwnerId, Usage], now: datetime
) -> UsageFigures:
    """The figures of every offer; an owner that is absent from ``usage`` has used nothing."""
    live = _live_anywhere(usage)
    ratios: dict[tuple[OfferId, str], float] = {}
    for offer in catalogue.offers.values():
        live[offer.id] = usage.get(offer.limits[0].owner, _NO_USAGE).live
        for owner, limits in owned_limits(offer):
            reading = usage.get(limits.owner, _NO_USAGE)
            for cap, ratio in _ratios(owner, limits, reading, window_starts(now, limits.zone)):
                ratios[offer.id, cap] = ratio
    return UsageFigures(live, ratios)


def _live_anywhere(usage: Mapping[OwnerId, Usage]) -> dict[OfferId, int]:
    return {
        OfferId(owner.removeprefix(_OFFERS)): reading.live
        for owner, reading in usage.items()
        if reading.live and owner.startswith(_OFFERS)
    }


def owned_limits(offer: OfferTerms) -> tuple[tuple[CapOwner, OwnerLimits], ...]:
    """An offer's own limits and its buyer's, told apart."""
    own, buyers = offer.limits
    return ((CapOwner.OFFER, own), (CapOwner.BUYER, buyers))


def limit_labels(offer: OfferTerms) -> Iterator[str]:
    """The ``cap`` label values of an offer."""
    for owner, limits in owned_limits(offer):
        if limits.concurrency is not None:
            yield concurrency_label(owner)
        for cap in limits.caps:
            yield cap_label(owner, cap)


class LimitLabels:
    """The ``cap`` label values of every offer; for terms that stay they are made once."""

    def __init__(self) -> None:
        self._known: dict[OfferId, tuple[OfferTerms, frozenset[str]]] = {}
        self._alike: dict[frozenset[str], frozenset[str]] = {}

    def of(self, catalogue: Catalogue) -> dict[OfferId, frozenset[str]]:
        """Those of a catalogue's offers."""
        before = self._known
        self._known = {
            offer: known
            if (known := before.get(offer)) is not None and known[0] is terms
            else (terms, self._made(terms))
            for offer, terms in catalogue.offers.items()
        }
        return {offer: labels for offer, (_, labels) in self._known.items()}

    def _made(self, terms: OfferTerms) -> frozenset[str]:
        labels = frozenset(limit_labels(terms))
        return self._alike.setdefault(labels, labels)


def _ratios(
    owner: CapOwner, limits: OwnerLimits, usage: Usage, starts: Starts
) -> Iterator[tuple[str, float]]:
    if limits.concurrency is not None:
        yield concurrency_label(owner), _share(usage.live, limits.concurrency)
    for cap in limits.caps:
        window = window_at(usage.periods[cap.period], starts[cap.period])
        taken = window.used[cap.measure] + window.pending[cap.measure] if window else 0
        yield cap_label(owner, cap), _share(taken, cap.limit)


def _share(taken: int, limit: int) -> float:
    return taken / limit if limit else 1.0
