"""How full the caps of an offer are, and how full they will be when their windows end."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from auction.domain.ids import OwnerId
from auction.domain.terms import Cap, OfferTerms, OwnerLimits
from auction.domain.usage import Usage, window_at
from auction.domain.windows import resets_at, window_starts

SEEN_SHARE: Final = 0.1
"""Before so much of a window is over its usage says nothing about its end."""

_NO_USAGE: Final = Usage()


@dataclass(frozen=True, slots=True)
class CapOutlook:
    """Shares of a cap's limit: used and pending now, and at the window's end if it goes on so.

    ``forecast`` None: too early to tell, or a cap without an end.
    """

    cap: Cap
    used: float
    forecast: float | None


def cap_outlooks(
    offer: OfferTerms, usage: Mapping[OwnerId, Usage], now: datetime
) -> Iterator[CapOutlook]:
    """Every cap of an offer and of its buyer."""
    for limits in offer.limits:
        counted = usage.get(limits.owner, _NO_USAGE)
        for cap in limits.caps:
            yield _outlook(cap, limits, counted, now)


def _outlook(cap: Cap, limits: OwnerLimits, usage: Usage, now: datetime) -> CapOutlook:
    start = window_starts(now, limits.zone)[cap.period]
    window = window_at(usage.periods[cap.period], start)
    taken = window.used[cap.measure] + window.pending[cap.measure] if window else 0
    used = taken / cap.limit if cap.limit else 1.0
    end = resets_at(cap.period, now, limits.zone)
    if end is None:
        return CapOutlook(cap, used, None)
    passed = (now.timestamp() - start) / (end.timestamp() - start)
    return CapOutlook(cap, used, used / passed if passed >= SEEN_SHARE else None)
