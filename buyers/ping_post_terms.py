"""From ping-post settings as an operator writes them to the terms that decisions read."""

from decimal import Decimal

from auction.domain.breaker import WHOLE, BreakerTerms
from auction.domain.ping_rate import PingRateTerms
from auction.domain.terms import (
    PingPostTerms,
)
from config.endpoints import Breaker, MaxPingRate, PingPost


def ping_post_terms(terms: PingPost | None) -> PingPostTerms | None:
    """How an offer bids, None for one that never does."""
    if terms is None:
        return None
    post = terms.post
    return PingPostTerms(
        minimum_bid=terms.minimum_bid,
        ping_timeout_ms=terms.ping.timeout_ms,
        maximum_bid=terms.maximum_bid,
        fixed_amount=terms.fixed_amount,
        bid_valid_s=terms.bid_valid_s,
        on_unknown=terms.on_unknown,
        posts=post is not None,
        post_timeout_ms=post.timeout_ms if post else 0,
        post_idempotent=post.idempotent if post else False,
        breaker=_breaker(terms.breaker),
        ping_rate=_ping_rate(terms.max_ping_rate),
    )


def _breaker(breaker: Breaker | None) -> BreakerTerms | None:
    if breaker is None:
        return None
    of_all = breaker.failure_ratio
    return BreakerTerms(
        failure_ratio=_parts(of_all),
        timeout_ratio=_parts(breaker.timeout_ratio or of_all),
        malformed_ratio=_parts(breaker.malformed_ratio or of_all),
        refused_post_ratio=_parts(breaker.refused_post_ratio or of_all),
        minimum_pings=breaker.minimum_pings,
        minimum_posts=breaker.minimum_posts or breaker.minimum_pings,
        window_s=breaker.window_s,
        open_s=breaker.open_s,
        probes=breaker.probes,
        trickle=_parts(breaker.trickle),
        shadow=breaker.shadow,
    )


def _parts(ratio: Decimal) -> int:
    return int(ratio * WHOLE)


def _ping_rate(rate: MaxPingRate | None) -> PingRateTerms | None:
    return None if rate is None else PingRateTerms(float(rate.per_second), rate.shadow)
