"""How far an offer's caps are used at one moment, as an operator sees it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from fractions import Fraction
from typing import Final

from auction.domain.ids import OwnerId
from auction.domain.terms import Cap, OfferTerms, OwnerLimits
from auction.domain.usage import Usage, window_at
from auction.domain.windows import resets_at, window_starts

_NO_USAGE: Final = Usage()
_YELLOW_FROM: Final = Fraction(70, 100)
_RED_FROM: Final = Fraction(90, 100)


class Level(Enum):
    """How near a limit is: yellow from 70 %, red from 90 %."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"

    @classmethod
    def of(cls, ratio: Fraction) -> "Level":
        """The level of a share of a limit."""
        if ratio >= _RED_FROM:
            return cls.RED
        return cls.YELLOW if ratio >= _YELLOW_FROM else cls.GREEN


class LimitOwner(Enum):
    """Whose limit it is."""

    OFFER = "offer"
    BUYER = "buyer"


@dataclass(frozen=True, slots=True)
class CapReading:
    """A cap in its current window, in its own units; what is pending counts against the limit.

    ``resets_at`` None: never.
    """

    owner: LimitOwner
    cap: Cap
    used: int
    pending: int
    resets_at: datetime | None

    @property
    def ratio(self) -> Fraction:
        """The used and pending share of the limit; 1 where nothing is allowed."""
        return _share(self.used + self.pending, self.cap.limit)


@dataclass(frozen=True, slots=True)
class ConcurrencyReading:
    """Live calls; ``limit`` None: as many as there are."""

    owner: LimitOwner
    live: int
    limit: int | None

    @property
    def ratio(self) -> Fraction | None:
        """The share of the limit that is live."""
        return None if self.limit is None else _share(self.live, self.limit)


def cap_readings(
    offer: OfferTerms, usage: Mapping[OwnerId, Usage], now: datetime
) -> Sequence[CapReading]:
    """Every cap of the offer and of its buyer; an owner that is absent has used nothing."""
    return [
        reading
        for owner, limits in _owned(offer)
        for reading in _readings(owner, limits, usage.get(limits.owner, _NO_USAGE), now)
    ]


def concurrency_readings(
    offer: OfferTerms, usage: Mapping[OwnerId, Usage]
) -> Sequence[ConcurrencyReading]:
    """Live calls of the offer, and of its buyer where that limits them."""
    return [
        ConcurrencyReading(owner, usage.get(limits.owner, _NO_USAGE).live, limits.concurrency)
        for owner, limits in _owned(offer)
        if owner is LimitOwner.OFFER or limits.concurrency is not None
    ]


def _owned(offer: OfferTerms) -> tuple[tuple[LimitOwner, OwnerLimits], ...]:
    own, buyers = offer.limits
    return ((LimitOwner.OFFER, own), (LimitOwner.BUYER, buyers))


def _readings(
    owner: LimitOwner, limits: OwnerLimits, usage: Usage, now: datetime
) -> Iterator[CapReading]:
    starts = window_starts(now, limits.zone)
    for cap in limits.caps:
        window = window_at(usage.periods[cap.period], starts[cap.period])
        used = 0 if window is None else window.used[cap.measure]
        pending = 0 if window is None else window.pending[cap.measure]
        yield CapReading(owner, cap, used, pending, resets_at(cap.period, now, limits.zone))


def _share(taken: int, limit: int) -> Fraction:
    return Fraction(taken, limit) if limit else Fraction(1)
