"""The plan of a decision: the places that the call may go to, in their order."""

from datetime import datetime
from decimal import Decimal
from enum import Enum

from auction.domain.ids import BuyerId, OfferId, PingId, PostId
from auction.domain.terms import (
    ConversionRule,
    Destination,
    DuplicateRule,
    OwnerLimits,
    PayoutRule,
    Trigger,
)
from auction.domain.usage import Units
from auction.domain.value import value


class RoutedBy(Enum):
    """How a route was found."""

    AUCTION = "auction"
    STATIC = "static"


@value(frozen=True, slots=True)
class Candidate:
    """One place the call may go, in the order of the plan.

    ``posts`` False: routed without a post (static routes, buyers without a post endpoint).
    ``owners`` are the limits to reserve under, empty for test calls; ``units`` is what is held, and
    ``conversions`` the rules under which it is sold and ``payouts`` those under which its source
    earns, first match first.
    """

    offer: OfferId
    buyer: BuyerId
    routed_by: RoutedBy
    price: Decimal
    destination: Destination
    posts: bool
    owners: tuple[OwnerLimits, ...]
    units: Units
    duplicates: DuplicateRule | None = None
    ping_id: PingId | None = None
    post_id: PostId | None = None
    bid_id: str | None = None
    expires_at: datetime | None = None
    minimum_duration_s: int | None = None
    conversions: tuple[ConversionRule, ...] = (ConversionRule(Trigger.ANSWERED),)
    payouts: tuple[PayoutRule, ...] = ()


@value(frozen=True, slots=True)
class StoredPlan:
    """A plan found in storage.

    ``position`` is the candidate reserved last, None when none fitted; ``decided_from`` is when
    the call first came in. The reservation may have been swept since, so it is made again (a repeat
    where it still stands) before its candidate is used, which may have been posted all the same.
    """

    candidates: tuple[Candidate, ...]
    position: int | None
    trace: bytes
    decided_from: datetime
