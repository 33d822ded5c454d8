"""What a replay starts from: one decision as it was recorded, and other terms to try on it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from auction.domain.bidding import Quote
from auction.domain.call import Call
from auction.domain.ids import OfferId
from auction.domain.reasons import Reason
from auction.domain.terms import Campaign, OfferTerms
from auction.domain.trace import Trace, TraceEntry


@dataclass(frozen=True, slots=True)
class Changes:
    """Other terms to decide under: minimum bids, ping timeouts in milliseconds, offers paused."""

    minimum_bids: Mapping[OfferId, Decimal] = field(default_factory=dict)
    timeouts_ms: Mapping[OfferId, int] = field(default_factory=dict)
    disabled: frozenset[OfferId] = frozenset()

    @property
    def any(self) -> bool:
        """Whether anything differs from what was in force."""
        return bool(self.minimum_bids or self.timeouts_ms or self.disabled)

    def of(self, campaign: Campaign) -> Campaign:
        """The campaign under these terms."""
        return replace(campaign, offers=tuple(map(self._changed, campaign.offers)))

    def _changed(self, offer: OfferTerms) -> OfferTerms:
        terms = offer.ping_post
        if terms is not None:
            minimum_bid = self.minimum_bids.get(offer.id, terms.minimum_bid)
            timeout_ms = self.timeouts_ms.get(offer.id, terms.ping_timeout_ms)
            terms = replace(terms, minimum_bid=minimum_bid, ping_timeout_ms=timeout_ms)
        enabled = offer.enabled and offer.id not in self.disabled
        return replace(offer, ping_post=terms, enabled=enabled)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A call's first decision: what it knew, what it was answered and how it ended.

    ``campaign``, ``currency`` and ``default_country`` are those of the revision that decided;
    ``quotes`` holds each offer's acceptance as it came. ``price`` is what the first route was sold
    for (None: as the trace says), ``reason`` why there was none.
    """

    call: Call
    campaign: Campaign | None
    currency: str
    default_country: str
    trace: Trace
    quotes: Mapping[OfferId, Quote] = field(default_factory=dict)
    price: Decimal | None = None
    reason: str | None = None

    def entries(self) -> dict[OfferId, TraceEntry]:
        """The trace by offer."""
        return {entry.offer: entry for entry in self.trace.offers}

    def winner(self) -> TraceEntry | None:
        """The offer that the call was routed to."""
        taken = (each for each in self.trace.offers if each.static or each.reason is None)
        return next(taken, None)


REFUSED_BEFORE = frozenset(
    {
        Reason.CAP_REACHED,
        Reason.CONCURRENCY_FULL,
        Reason.DUPLICATE_CALLER,
        Reason.SUPPRESSED,
        Reason.NUMBER_EXCLUDED,
    }
)
"""What kept an offer from being asked and can't be told again: it stands as recorded."""
