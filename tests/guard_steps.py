"""Terms of breakers for tests."""

from typing import Any

from auction.domain.breaker import BreakerTerms


def breaker_terms(**changes: Any) -> BreakerTerms:
    """Half of 20 pings or posts, within a minute, open it for half a minute; 5 probes."""
    values: dict[str, Any] = {
        "failure_ratio": 5_000,
        "timeout_ratio": 5_000,
        "malformed_ratio": 5_000,
        "refused_post_ratio": 5_000,
        "minimum_pings": 20,
        "minimum_posts": 20,
        "window_s": 60,
        "open_s": 30,
        "probes": 5,
        "trickle": 500,
        **changes,
    }
    return BreakerTerms(**values)
