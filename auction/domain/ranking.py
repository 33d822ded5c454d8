"""The order of valid bids: total, and independent of the order in which they came."""

import math
from collections.abc import Sequence
from decimal import Decimal
from hashlib import blake2b
from itertools import pairwise
from typing import Final

from auction.domain.bidding import Bid
from auction.domain.ids import CallId, OfferId
from auction.domain.scoring import Weights, score

AUCTION_SALT: Final = b"auction"
_SPAN: Final = 2.0**64


def rank(bids: Sequence[Bid], call_id: CallId, weights: Weights | None = None) -> tuple[Bid, ...]:
    """The bids, best first: by amount, priority, weighted hash of the call, and the offer's id.

    With ``weights``, which hold every bid's offer, the score comes first. At most one bid per
    offer.
    """
    if weights is not None:
        return _by_score(bids, call_id, weights)
    ordered = sorted(bids, key=_price_then_priority)
    tied = {
        (worse.amount, worse.priority)
        for better, worse in pairwise(ordered)
        if better.amount == worse.amount and better.priority == worse.priority
    }
    if not tied:
        return tuple(ordered)

    def place(bid: Bid) -> tuple[Decimal, int, float, OfferId]:
        among_equals = (bid.amount, bid.priority) in tied
        key = weight_key(call_id, bid.offer, bid.weight) if among_equals else 0.0
        return (-bid.amount, bid.priority, key, bid.offer)

    return tuple(sorted(ordered, key=place))


def _by_score(bids: Sequence[Bid], call_id: CallId, weights: Weights) -> tuple[Bid, ...]:
    """Bids of one score keep the order that they have without weights."""
    return tuple(
        sorted(rank(bids, call_id), key=lambda bid: -score(bid.amount, bid.offer, weights))
    )


def _price_then_priority(bid: Bid) -> tuple[Decimal, int]:
    return (-bid.amount, bid.priority)


def weight_key(
    call_id: CallId, offer_id: OfferId, weight: int, salt: bytes = AUCTION_SALT
) -> float:
    """An offer's place among its equals for one call, always the same: the smallest is first.

    Over many calls an offer is first in proportion to its weight. Weight 0 (or less) is always
    last. ``salt`` (at most 16 bytes) keeps different choices for one call independent of each
    other.
    """
    if weight <= 0:
        return math.inf
    seed = f"{len(call_id)}:{call_id}{offer_id}".encode(errors="surrogatepass")
    drawn = int.from_bytes(blake2b(seed, digest_size=8, person=salt).digest(), "big")
    # An exponential variate with the weight as its rate: each is the smallest by its share.
    return -math.log(min((drawn + 0.5) / _SPAN, _BELOW_ONE)) / weight


_BELOW_ONE: Final = math.nextafter(1.0, 0.0)
