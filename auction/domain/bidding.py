"""What buyers say to a ping and to a post, as values: nothing here is an exception."""

from datetime import datetime
from decimal import Decimal

from auction.domain.ids import BuyerId, OfferId
from auction.domain.reasons import Reason
from auction.domain.terms import Destination
from auction.domain.value import value


@value(frozen=True, slots=True)
class Quote:
    """An acceptance read from a ping's answer, nothing in it checked yet.

    Each value is what the buyer sent (text, int, bool, Decimal), None where it sent none. Never a
    float: readers must parse JSON numbers of amounts exactly.
    """

    amount: object = None
    currency: object = None
    bid_id: object = None
    destination: object = None
    expires_in_s: object = None
    minimum_duration_s: object = None


@value(frozen=True, slots=True)
class NoBid:
    """The buyer said no, with its own words where it gave any."""

    detail: str | None = None


@value(frozen=True, slots=True)
class PingFault:
    """No usable answer came. ``blames_buyer`` is False for limits of our own."""

    reason: Reason
    detail: str | None = None
    blames_buyer: bool = True


PingReply = Quote | NoBid | PingFault


@value(frozen=True, slots=True)
class Bid:
    """A valid bid: within bounds, at or above the minimum, with somewhere to send the call."""

    offer: OfferId
    buyer: BuyerId
    amount: Decimal
    priority: int
    weight: int
    expires_at: datetime
    destination: Destination
    bid_id: str | None = None
    minimum_duration_s: int | None = None


@value(frozen=True, slots=True)
class RefusedBid:
    """A bid that does not count, and why. ``amount`` where it could be read."""

    reason: Reason
    detail: str | None = None
    amount: Decimal | None = None


@value(frozen=True, slots=True)
class PostAccepted:
    """The buyer takes the call. ``destination`` is what it sent, not checked yet."""

    destination: object = None


@value(frozen=True, slots=True)
class PostRejected:
    """The buyer refuses the call."""

    detail: str | None = None


@value(frozen=True, slots=True)
class PostUnknown:
    """The post was sent and no readable answer came: the buyer may have taken the call.

    ``blames_buyer`` as for a ping.
    """

    detail: str | None = None
    blames_buyer: bool = True


@value(frozen=True, slots=True)
class PostNotSent:
    """The post never left us (no connection, own limit): the buyer can't have taken the call.

    ``blames_buyer`` as for a ping.
    """

    detail: str | None = None
    blames_buyer: bool = True


PostReply = PostAccepted | PostRejected | PostUnknown | PostNotSent
