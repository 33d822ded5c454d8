"""Why a call went where it went: one line per offer, timed."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from auction.domain.ids import OfferId, SuppressionId
from auction.domain.quality import Quality
from auction.domain.reasons import Reason
from auction.domain.scoring import Weight
from auction.domain.value import value

ROUTED_UNANSWERED: Final = "post unanswered, routed by policy"
"""The detail of a win whose post was not answered (``on_unknown: route``)."""


@value(frozen=True, slots=True)
class TraceEntry:
    """One offer's line in a decision trace.

    ``reason`` None: the offer won. ``ms``: how long the ping took. ``shadow``: what would have held
    the ping back, if it did more than count. ``weight``: what its bids were multiplied by in the
    ranking, where anything.
    """

    offer: OfferId
    reason: Reason | None
    detail: str | None = None
    bid: Decimal | None = None
    ms: float | None = None
    rank: int | None = None
    static: bool = False
    shadow: str | None = None
    weight: Weight | None = None


@dataclass(slots=True)
class Timings:
    """Milliseconds of each step of one decision; ``waited_ms``: spent waiting for buyers."""

    eligible_ms: float = 0.0
    ping_ms: float = 0.0
    post_ms: float = 0.0
    total_ms: float = 0.0
    waited_ms: float = 0.0


@value(frozen=True, slots=True)
class Trace:
    """Why a call went where it went.

    Offers refused by their fixed terms are recomputed on reading. ``suppressed``: the lists that
    the caller was on.
    """

    revision: int
    timings: Timings
    offers: tuple[TraceEntry, ...] = field(default_factory=tuple)
    suppressed: tuple[SuppressionId, ...] = ()
    quality: Quality | None = None
