"""What a simulated buyer saw and did."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

BuyerCounts = dict[str, int | dict[str, int]]
"""Counts as plain data."""


@dataclass(slots=True)
class Counts:
    """Counts since the start or the last reset.

    ``pings`` and ``posts`` are authenticated requests, repeats left out of ``posts``. ``accepted``
    posts were answered yes in full; ``unheard`` ones were taken, but the answer was spoiled or
    nobody waited for it.
    ``abandoned`` requests lost their connection before the answer was complete.
    """

    pings: int = 0
    bids: int = 0
    no_bids: int = 0
    posts: int = 0
    accepted: int = 0
    rejected: int = 0
    unheard: int = 0
    repeats: int = 0
    auth_failures: int = 0
    plain_caller_ids: int = 0
    redirects_followed: int = 0
    abandoned: int = 0
    ping_behaviours: Counter[str] = field(default_factory=Counter)
    post_behaviours: Counter[str] = field(default_factory=Counter)

    def abandon(self, *, sells: bool) -> None:
        """Count a request whose connection went before its answer: a yes was not heard."""
        self.abandoned += 1
        if sells:
            self.accepted -= 1
            self.unheard += 1

    def as_json(self) -> BuyerCounts:
        """Plain data, every count named, behaviours in order of name."""
        return {
            "pings": self.pings,
            "bids": self.bids,
            "no_bids": self.no_bids,
            "posts": self.posts,
            "accepted": self.accepted,
            "rejected": self.rejected,
            "unheard": self.unheard,
            "repeats": self.repeats,
            "auth_failures": self.auth_failures,
            "plain_caller_ids": self.plain_caller_ids,
            "redirects_followed": self.redirects_followed,
            "abandoned": self.abandoned,
            "ping_behaviours": dict(sorted(self.ping_behaviours.items())),
            "post_behaviours": dict(sorted(self.post_behaviours.items())),
        }


@dataclass(slots=True)
class PortCounts:
    """What happened on one port outside any buyer's endpoints."""

    connections: int = 0
    open_connections: int = 0
    refused_connections: int = 0
    bad_requests: int = 0
    unknown_paths: int = 0

    def as_json(self) -> dict[str, int]:
        """Plain data, every count named."""
        return {
            "connections": self.connections,
            "open_connections": self.open_connections,
            "refused_connections": self.refused_connections,
            "bad_requests": self.bad_requests,
            "unknown_paths": self.unknown_paths,
        }


def total(counts: Iterable[PortCounts]) -> PortCounts:
    """The sum over several ports."""
    columns = zip(*(count.as_json().values() for count in counts), strict=True)
    return PortCounts(*map(sum, columns))
