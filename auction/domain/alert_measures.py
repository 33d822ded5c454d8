"""From what happened in a stretch of time to the one number that a rule looks at."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from fractions import Fraction
from typing import Final

from auction.domain.alert_terms import COUNTED, AlertMeasure, Condition
from auction.domain.hours import refusal
from auction.domain.log_bins import quantile
from auction.domain.report_figures import Figures
from auction.domain.terms import OfferTerms

_P95: Final = Fraction(95, 100)
_MICROS: Final = 1000


def reading(
    condition: Condition, now: Figures, past: Figures | None = None, past_minutes: float = 0
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


def could_take_calls(offers: Iterable[OfferTerms], since: datetime, until: datetime) -> bool:
    """Whether any of them is in force and was open at both ends: else no calls mean nothing."""
    return any(
        offer.enabled and offer.buyer_enabled and _is_open(offer, since) and _is_open(offer, until)
        for offer in offers
    )


def _is_open(offer: OfferTerms, at: datetime) -> bool:
    return offer.hours is None or refusal(offer.hours, at) is None


def _measured(condition: Condition, figures: Figures) -> float | None:
    measure = condition.measure
    if measure in COUNTED:
        return float(_COUNTED[measure](figures))
    part, whole = _SHARES[measure]
    sample = whole(figures)
    if sample < max(condition.minimum_sample, 1):
        return None
    return part(figures) if measure is AlertMeasure.PING_P95_MS else part(figures) / sample


def _p95_ms(figures: Figures) -> float:
    return (quantile(figures.ping_times, _P95) or 0.0) / _MICROS


_Number = Callable[[Figures], float]

_COUNTED: Final[Mapping[AlertMeasure, _Number]] = {
    AlertMeasure.CALLS: lambda figures: figures.calls,
    AlertMeasure.UNANSWERED_CALLS: lambda figures: max(0, figures.won - figures.answered),
}

_SHARES: Final[Mapping[AlertMeasure, tuple[_Number, _Number]]] = {
    AlertMeasure.TIMEOUT_RATE: (lambda f: f.timeouts, lambda f: f.pinged),
    AlertMeasure.ERROR_RATE: (lambda f: f.errors, lambda f: f.pinged),
    AlertMeasure.BID_RATE: (lambda f: f.bids, lambda f: f.pinged),
    AlertMeasure.ACCEPT_RATE: (lambda f: f.posts_accepted, lambda f: f.posts),
    AlertMeasure.ANSWER_RATE: (lambda f: f.answered, lambda f: f.won),
    AlertMeasure.CONVERSION_RATE: (lambda f: f.converted, lambda f: f.won),
    AlertMeasure.PING_P95_MS: (_p95_ms, lambda f: sum(f.ping_times.values())),
}
"""Of each measure its part and of how many; the latter is what a sample must be large enough of."""
