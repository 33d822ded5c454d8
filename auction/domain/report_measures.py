"""What a report tells of figures: counts, money, and rates whose denominators it names."""

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from typing import Final, TypeAlias

from auction.domain.log_bins import quantile
from auction.domain.money import from_units
from auction.domain.report_figures import Figures

Measure: TypeAlias = int | Decimal | float | None
"""A count, an amount of money, a rate or milliseconds; None where there is nothing to divide by."""

DENOMINATORS: Final[Mapping[str, str]] = {
    "eligible_rate": "eligible / offer_calls",
    "bid_rate": "bids / pinged",
    "timeout_rate": "timeouts / pinged",
    "error_rate": "errors / pinged",
    "win_rate": "won_by_auction / bids",
    "accept_rate": "post_accepted / (post_accepted + post_rejected + post_unknown + post_error)",
    "answer_rate": "answered / won",
    "conversion_rate": "converted / won",
    "average_bid": "sum of valid bids / bids",
    "p50_bid, p90_bid": "of valid bids, within 1 %",
    "ping_p50_ms, ping_p95_ms, ping_p99_ms": "of all pings, unanswered ones too, within 1 %",
}
"""What each rate is of what."""

_SMALLEST: Final = Decimal("0.0001")
_MICROS: Final = 1000
_DIGITS: Final = 4

OF_CALLS: Final = ("calls", "no_route")
"""What only calls have, not offers."""

OF_AUCTIONS: Final = (
    *(
        "offer_calls",
        "eligible",
        "pinged",
        "bids",
        "no_bids",
        "timeouts",
        "errors",
        "below_minimum",
    ),
    *("invalid_bids", "not_awaited", "won_by_auction", "won_statically"),
    *("post_accepted", "post_rejected", "post_unknown", "post_error", "average_bid", "p50_bid"),
    *(
        "p90_bid",
        "eligible_rate",
        "bid_rate",
        "timeout_rate",
        "error_rate",
        "win_rate",
        "accept_rate",
    ),
    *("ping_p50_ms", "ping_p95_ms", "ping_p99_ms"),
)
"""What is known of pings and posts."""


def measures(figures: Figures, offer_calls: int | None = None) -> dict[str, Measure]:
    """Every measure by its name in reports, in their order. ``offer_calls`` None: not known."""
    return {
        "calls": figures.calls,
        "no_route": figures.unrouted,
        "offer_calls": offer_calls,
        **_auction(figures, offer_calls),
        "won": figures.won,
        "answered": figures.answered,
        "completed": figures.completed,
        "converted": figures.converted,
        "revenue": figures.revenue,
        "payout": figures.payout,
        "margin": figures.revenue - figures.payout,
        "answer_rate": _rate(figures.answered, figures.won),
        "conversion_rate": _rate(figures.converted, figures.won),
    }


def accounted(figures: Figures, offer_calls: int | None) -> int | None:
    """``offer_calls``; None where more were looked at, so that some were not counted."""
    if offer_calls is None or offer_calls < figures.looked_at:
        return None
    return offer_calls


def by_fixed_terms(figures: Figures, offer_calls: int | None) -> int:
    """How many of these calls no trace tells of: all others are eligible or have a reason."""
    return 0 if offer_calls is None else offer_calls - figures.looked_at


def _auction(figures: Figures, offer_calls: int | None) -> dict[str, Measure]:
    return {
        "eligible": figures.eligible,
        "pinged": figures.pinged,
        "bids": figures.bids,
        "no_bids": figures.no_bids,
        "timeouts": figures.timeouts,
        "errors": figures.errors,
        "below_minimum": figures.below_minimum,
        "invalid_bids": figures.invalid_bids,
        "not_awaited": figures.not_awaited,
        "won_by_auction": figures.auction_wins,
        "won_statically": figures.static_wins,
        "post_accepted": figures.posts_accepted,
        "post_rejected": figures.posts_rejected,
        "post_unknown": figures.posts_unknown,
        "post_error": figures.post_errors,
        "average_bid": mean_bid(figures.bid_total, figures.bids),
        "p50_bid": _bid(figures, 50),
        "p90_bid": _bid(figures, 90),
        "eligible_rate": _rate(figures.eligible, offer_calls),
        "bid_rate": _rate(figures.bids, figures.pinged),
        "timeout_rate": _rate(figures.timeouts, figures.pinged),
        "error_rate": _rate(figures.errors, figures.pinged),
        "win_rate": _rate(figures.auction_wins, figures.bids),
        "accept_rate": _rate(figures.posts_accepted, figures.posts),
        "ping_p50_ms": _ping_ms(figures, 50),
        "ping_p95_ms": _ping_ms(figures, 95),
        "ping_p99_ms": _ping_ms(figures, 99),
    }


def mean_bid(total: Decimal, bids: int) -> Decimal | None:
    """The mean of so many bids with four decimals; None without any."""
    return (total / bids).quantize(_SMALLEST, rounding=ROUND_HALF_EVEN) if bids else None


def trend(now: Measure, before: Measure) -> float | None:
    """By what share a measure has grown: 0.25 is a quarter more; None where nothing was before."""
    if now is None or not before:
        return None
    return round(float(Fraction(now) / Fraction(before) - 1), _DIGITS)


def _rate(part: int, whole: int | None) -> float | None:
    return round(part / whole, _DIGITS) if whole else None


def _bid(figures: Figures, percent: int) -> Decimal | None:
    units = quantile(figures.bid_sizes, Fraction(percent, 100))
    return None if units is None else from_units(round(units))


def _ping_ms(figures: Figures, percent: int) -> float | None:
    micros = quantile(figures.ping_times, Fraction(percent, 100))
    return None if micros is None else round(micros / _MICROS, 3)
