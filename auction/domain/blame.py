"""What the end of a ping or post says about its buyer; our own limits say nothing."""

from typing import Final

from auction.domain.bidding import PostAccepted, PostNotSent, PostReply, PostUnknown
from auction.domain.breaker import PingWeight
from auction.domain.reasons import Reason

_UNREADABLE: Final = frozenset(
    {
        Reason.ERROR,
        Reason.MALFORMED_REPLY,
        Reason.UNREACHABLE,
        Reason.BAD_STATUS,
        Reason.OVERSIZE_REPLY,
    }
)


FAIR_SHARE: Final = 0.75
"""With less of its own timeout than this a buyer is not blamed for having been too slow."""


def had_its_time(given_ms: float, own_ms: float) -> bool:
    """Whether the time that a call's budget left a buyer was about its own."""
    return given_ms >= own_ms * FAIR_SHARE


def ping_weight(reason: Reason | None, *, blames_buyer: bool, had_time: bool) -> PingWeight:
    """What a ping's outcome weighs. ``had_time``: the buyer had about the time that it may take.

    A bid that is too low or can't be used is an answer like any other.
    """
    if reason is None:
        return PingWeight.ANSWERED
    if not blames_buyer or reason is Reason.NOT_AWAITED:
        return PingWeight.UNTOLD
    if reason is Reason.TIMEOUT:
        return PingWeight.TIMED_OUT if had_time else PingWeight.UNTOLD
    if reason in _UNREADABLE:
        return PingWeight.MALFORMED
    asked = not Reason.NOT_ASKED <= reason < Reason.BID_REFUSED
    return PingWeight.ANSWERED if asked else PingWeight.UNTOLD


def post_refused(reply: PostReply, *, had_time: bool) -> bool | None:
    """Whether the buyer refused or failed a post; None: the reply does not tell."""
    if isinstance(reply, PostAccepted):
        return False
    if isinstance(reply, PostUnknown | PostNotSent) and not (reply.blames_buyer and had_time):
        return None
    return True
