"""How full the caps of an offer are, and how full they will be when their windows end."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from auction.domain.cap_readings import CapReading, cap_readings
from auction.domain.ids import OwnerId
from auction.domain.terms import Cap, OfferTerms
from auction.domain.usage import Usage
from auction.domain.windows import window_starts

SEEN_SHARE: Final = 0.1
"""Before so much of a window is over its usage says nothing about its end."""


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
    zones = [limits.zone for limits in offer.limits for _ in limits.caps]
    for reading, zone in zip(cap_readings(offer, usage, now), zones, strict=True):
        yield CapOutlook(reading.cap, float(reading.ratio), _forecast(reading, zone, now))


def _forecast(reading: CapReading, zone: ZoneInfo, now: datetime) -> float | None:
    if reading.resets_at is None:
        return None
    start = window_starts(now, zone)[reading.cap.period]
    passed = (now.timestamp() - start) / (reading.resets_at.timestamp() - start)
    return float(reading.ratio) / passed if passed >= SEEN_SHARE else None
