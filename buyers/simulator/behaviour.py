"""What a simulated buyer may do with a request, and which of it one gets: pure and seeded."""

import re
import struct
from bisect import bisect_right
from collections.abc import Mapping
from hashlib import blake2b
from itertools import accumulate
from typing import NamedTuple

_STATUS = re.compile(r"status_([2-5][0-9][0-9])")
_THREE_DRAWS = struct.Struct(">QQQ")
_SHARE_BITS = 53
_SHARES = 2.0**-_SHARE_BITS


class Bare(str):
    """An amount that JSON gets without quotes, so that ``NaN`` is the token and not a text."""

    __slots__ = ()


BIDS: Mapping[str, Mapping[str, object]] = {
    "bid": {},
    "low": {"amount": "0.01"},
    "zero": {"amount": "0.00"},
    "negative": {"amount": "-5.00"},
    "thousands": {"amount": "1,250.00"},
    "nan": {"amount": Bare("NaN")},
    "nan_text": {"amount": "NaN"},
    "huge": {"amount": Bare("1e400")},
    "huge_text": {"amount": "1e400"},
    "no_amount": {"amount": None},
    "wrong_currency": {"currency": "XTS"},
    "expired": {"expires_in_s": 0},
    "bad_destination": {"destination": "http://127.0.0.1/"},
    "doctype": {},
}
"""Pings answered yes, with the values that each behaviour puts in place of the scripted ones."""

ACCEPTANCES: Mapping[str, Mapping[str, object]] = {
    "accept": {},
    "destination": {"destination": "sip:override@127.0.0.1:5079"},
    "bad_destination": BIDS["bad_destination"],
    "doctype": {},
}
"""Posts answered yes."""

PING_REFUSALS = frozenset({"no_bid", "refusal", "refusal_with_price"})
POST_REFUSALS = frozenset({"reject"})

SPOILED = frozenset(
    {
        "late",
        "drip",
        "drip_head",
        "truncated",
        "reset_after_headers",
        "oversize",
        "oversize_chunked",
    }
)
"""A yes that the other side cannot read whole, or not in time."""

BROKEN = frozenset({"hang", "reset", "close", "garbage", "garbage_bytes", "empty", "redirect"})
"""No answer at all."""

PING_BEHAVIOURS = frozenset(BIDS) | PING_REFUSALS | SPOILED | BROKEN
POST_BEHAVIOURS = frozenset(ACCEPTANCES) | POST_REFUSALS | SPOILED | BROKEN


def status_of(behaviour: str) -> int | None:
    """The HTTP status that ``status_503`` and its like name; None for every other behaviour."""
    match = _STATUS.fullmatch(behaviour)
    return int(match[1]) if match else None


class Weights:
    """Behaviours, each as likely as its weight says."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        """Keep the names whose weight is above 0; at least one has to be."""
        self.names = tuple(name for name, weight in weights.items() if weight > 0)
        self._upper = list(accumulate(weights[name] for name in self.names))

    def choose(self, share: float) -> str:
        """The behaviour at ``share`` (0 to 1) of all weight."""
        place = bisect_right(self._upper, share * self._upper[-1])
        return self.names[min(place, len(self.names) - 1)]


class Draws(NamedTuple):
    """Three independent numbers in [0, 1) that settle everything about one answer."""

    behaviour: float
    amount: float
    latency: float


class Dice:
    """Draws that follow from seed, buyer, kind of request and its key, and nothing else."""

    def __init__(self, seed: int, buyer: str, kind: str) -> None:
        """``kind`` is ``ping`` or ``post``, so that a post is not settled by its ping."""
        self._base = blake2b(f"{seed}/{buyer}/{kind}/".encode(), digest_size=_THREE_DRAWS.size)

    def roll(self, key: bytes) -> Draws:
        """The draws of the request with this key."""
        digest = self._base.copy()
        digest.update(key)
        first, second, third = _THREE_DRAWS.unpack(digest.digest())
        return Draws(_share(first), _share(second), _share(third))


def _share(bits: int) -> float:
    return (bits >> (64 - _SHARE_BITS)) * _SHARES
