"""From what happened in a stretch of time to the one number that a rule looks at."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from itertools import accumulate
from typing import Final

from auction.domain.alert_terms import COUNTED, AlertMeasure, Condition
from auction.domain.hours import refusal
from auction.domain.terms import OfferTerms

_P95: Final = 0.95


@dataclass(frozen=True, slots=True)
class Figures:
    """What happened, counted. ``ping_ms``: how many pings took how many milliseconds."""

    calls: int = 0
    pinged: int = 0
    bids: int = 0
    timeouts: int = 0
    errors: int = 0
    posted: int = 0
    accepted: int = 0
    routed: int = 0
    answered: int = 0
    converted: int = 0
    ping_ms: Mapping[float, int] = field(default_factory=dict)


NOTHING: Final = Figures()
_COUNTS: Final = tuple(each.name for each in fields(Figures) if each.name != "ping_ms")


def total(parts: Iterable[Figures]) -> Figures:
    """All of them together."""
    counts: Counter[str] = Counter()
    times: Counter[float] = Counter()
    for part in parts:
        counts.update({name: getattr(part, name) for name in _COUNTS})
        times.update(part.ping_ms)
    return Figures(**counts, ping_ms=times)


def reading(
    condition: Condition, now: Figures, past: Figures | None = None, past_minutes: int = 0
) -> float | None:
    """What a rule reads of its stretch of time, None where too little has happened.

    With ``past`` it is a share of what it was then, over ``past_minutes`` minutes.
    """
    current = _measured(condition, now)
    if past is None or current is None:
        return current
    before = _measured(condition, past)
    if not before:
        return None
    if condition.measure in COUNTED:
        before = before * condition.over_minutes / past_minutes
    return current / before


def _measured(condition: Condition, figures: Figures) -> float | None:
    measure = condition.measure
    if measure in COUNTED:
        return float(_COUNTED[measure](figures))
    if measure is AlertMeasure.PING_P95_MS:
        enough = sum(figures.ping_ms.values()) >= max(condition.minimum_sample, 1)
        return _percentile(figures.ping_ms, _P95) if enough else None
    part, whole = _SHARES[measure]
    sample = whole(figures)
    return part(figures) / sample if sample >= max(condition.minimum_sample, 1) else None


def _percentile(times: Mapping[float, int], share: float) -> float:
    needed = share * sum(times.values())
    ordered = sorted(times)
    reached = accumulate(times[time] for time in ordered)
    return next(time for time, count in zip(ordered, reached, strict=True) if count >= needed)


def could_take_calls(offers: Iterable[OfferTerms], since: datetime, until: datetime) -> bool:
    """Whether any of them is in force and was open at both ends: else no calls mean nothing."""
    return any(
        offer.enabled and offer.buyer_enabled and _is_open(offer, since) and _is_open(offer, until)
        for offer in offers
    )


def _is_open(offer: OfferTerms, at: datetime) -> bool:
    return offer.hours is None or refusal(offer.hours, at) is None


_Count = Callable[[Figures], int]

_COUNTED: Final[Mapping[AlertMeasure, _Count]] = {
    AlertMeasure.CALLS: lambda figures: figures.calls,
    AlertMeasure.UNANSWERED_CALLS: lambda figures: max(0, figures.routed - figures.answered),
}

_SHARES: Final[Mapping[AlertMeasure, tuple[_Count, _Count]]] = {
    AlertMeasure.TIMEOUT_RATE: (lambda f: f.timeouts, lambda f: f.pinged),
    AlertMeasure.ERROR_RATE: (lambda f: f.errors, lambda f: f.pinged),
    AlertMeasure.BID_RATE: (lambda f: f.bids, lambda f: f.pinged),
    AlertMeasure.ACCEPT_RATE: (lambda f: f.accepted, lambda f: f.posted),
    AlertMeasure.ANSWER_RATE: (lambda f: f.answered, lambda f: f.routed),
    AlertMeasure.CONVERSION_RATE: (lambda f: f.converted, lambda f: f.routed),
}
