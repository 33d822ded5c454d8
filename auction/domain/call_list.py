"""Calls as lists show them: which ones, in which order, and how their money came about."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from auction.domain.call_record import CallRecord
from auction.domain.conversions import Entry
from auction.domain.ids import BuyerId, CallId, CampaignId, OfferId


class CallOutcome(Enum):
    """What became of a call, as lists are narrowed by it.

    ``auction`` and ``static`` say how its route was found, ``routed`` that it has one.
    """

    AUCTION = "auction"
    STATIC = "static"
    ROUTED = "routed"
    NO_ROUTE = "no_route"
    ANSWERED = "answered"
    CONVERTED = "converted"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class CallPlace:
    """A call's place in the order of arrival; calls of the same microsecond go by their id."""

    received_at: datetime
    call_id: CallId


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which calls are asked for; None narrows nothing.

    ``since`` is the first moment that counts, ``until`` the first that does not. ``offer`` and
    ``buyer`` are those that pay. ``seen_by``: only calls of this buyer or with an attempt at it,
    outcomes and offers its own, and no attempt at another is told. ``test``: only test calls,
    which are no part of a list otherwise.
    """

    since: datetime | None = None
    until: datetime | None = None
    campaign: CampaignId | None = None
    offer: OfferId | None = None
    buyer: BuyerId | None = None
    source: str | None = None
    outcome: CallOutcome | None = None
    seen_by: BuyerId | None = None
    test: bool = False


@dataclass(frozen=True, slots=True)
class CallPage:
    """Some calls, newest first, without traces and earlier routes of their callers.

    ``next`` is where to go on, None at the end. A page may hold fewer calls than were asked for,
    even none, and still not be the last: few of the calls looked at were asked for.
    """

    calls: tuple[CallRecord, ...]
    next: CallPlace | None


@dataclass(frozen=True, slots=True)
class RecordedEntry:
    """A line of a call's money ledger and when it was written down."""

    entry: Entry
    recorded_at: datetime
