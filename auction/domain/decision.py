"""The plan of a decision, what storage knows of a call, and the answer.

Values that the engine and the ledger share.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Final

from auction.domain.call import Call, FieldValue
from auction.domain.ids import (
    BuyerId,
    CallId,
    CampaignId,
    OfferId,
    PingId,
    PostId,
    SourceId,
    SuppressionId,
)
from auction.domain.numbers import PoolTerms
from auction.domain.quality import Quality
from auction.domain.reasons import Reason
from auction.domain.scoring import Weight
from auction.domain.terms import (
    ConversionRule,
    Destination,
    DuplicateRule,
    OwnerLimits,
    PayoutRule,
    Trigger,
)
from auction.domain.usage import Units, Usage
from auction.domain.value import value


class RoutedBy(Enum):
    """How a route was found."""

    AUCTION = "auction"
    STATIC = "static"


class Action(Enum):
    """What the switch is told to do."""

    ROUTE = "route"
    NO_ROUTE = "no_route"


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
class PastCall:
    """An earlier route of the same caller: where it went and how far it came."""

    offer: OfferId
    buyer: BuyerId
    campaign: CampaignId
    routed_at: datetime
    answered_at: datetime | None = None
    converted_at: datetime | None = None


@value(frozen=True, slots=True)
class Opening:
    """What ``open`` writes. ``decide_within_ms`` bounds this decider's claim on the call.

    ``call`` has what its dialled number says of it already, unless that belongs to a ``pool``:
    whom it is lent to shows only in the ledger.
    """

    call: Call
    fingerprint: bytes
    decide_within_ms: int
    revision: int
    campaign: CampaignId | None
    pool: PoolTerms | None = None


@value(frozen=True, slots=True)
class KnownAs:
    """What is recorded of a call besides what its switch said, or in place of it."""

    source: SourceId | None
    fields: Mapping[str, FieldValue]


@value(frozen=True, slots=True)
class Opened:
    """The call is ours to decide. ``plan`` is set when an earlier decider died after storing one.

    ``suppressed``: the lists that the caller is on.
    ``received_at``: when the call first came in, where that was not with this request; its cap
    windows are the ones of that moment. ``known_as``: source and fields that are recorded of it,
    where they are others than those it was opened with.
    """

    epoch: int
    past_calls: tuple[PastCall, ...] = ()
    plan: "StoredPlan | None" = None
    received_at: datetime | None = None
    known_as: "KnownAs | None" = None
    suppressed: tuple[SuppressionId, ...] = ()


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


@value(frozen=True, slots=True)
class AlreadyDecided:
    """The stored answer, byte for byte."""

    answer: bytes


@value(frozen=True, slots=True)
class BeingDecided:
    """Another decider has it until ``wait_ms`` from now at the latest."""

    wait_ms: int


@value(frozen=True, slots=True)
class OtherContent:
    """The same call_id came before with other content."""


OpenResult = Opened | AlreadyDecided | BeingDecided | OtherContent


class FailReason(Enum):
    """Why an attempt failed, as the switch tells it."""

    BUSY = "busy"
    NO_ANSWER = "no_answer"
    FAILED = "failed"
    SHORT_CALL = "short_call"

    @property
    def reason(self) -> Reason:
        """The numbered reason."""
        return _FAIL_REASONS[self]


_FAIL_REASONS = {
    FailReason.BUSY: Reason.BUSY,
    FailReason.NO_ANSWER: Reason.NO_ANSWER,
    FailReason.FAILED: Reason.DIAL_FAILED,
    FailReason.SHORT_CALL: Reason.SHORT_CALL,
}


@value(frozen=True, slots=True)
class NextRequest:
    """Attempt ``attempt`` failed: where now? ``decide_within_ms`` bounds the decider's claim."""

    call_id: CallId
    attempt: int
    reason: FailReason
    fingerprint: bytes
    decide_within_ms: int
    sip_code: int | None = None


@value(frozen=True, slots=True)
class Rerouting:
    """What the failed attempt held is given back, and its call is ours to decide again.

    ``attempt`` is the new one, ``call`` as it first came in; ``tried`` the offers that failed and
    why, ``candidates`` the plan that the last attempt was reserved from, ``traces`` those of the
    attempts before in their order. ``plan``: stored for this attempt by a decider that died.
    """

    epoch: int
    attempt: int
    call: Call
    campaign: CampaignId | None
    tried: tuple[tuple[OfferId, Reason], ...]
    candidates: tuple[Candidate, ...]
    traces: tuple[bytes, ...] = ()
    past_calls: tuple[PastCall, ...] = ()
    plan: "StoredPlan | None" = None
    suppressed: tuple[SuppressionId, ...] = ()


@value(frozen=True, slots=True)
class AlreadyConverted:
    """The failed attempt has earned its conversion: no further one. ``attempt`` is the next."""

    attempt: int
    call: Call
    campaign: CampaignId | None


@value(frozen=True, slots=True)
class UnknownCall:
    """There is no such call."""


@value(frozen=True, slots=True)
class NoSuchAttempt:
    """The call has no route with that number, or none yet."""


NextResult = (
    Rerouting
    | AlreadyConverted
    | AlreadyDecided
    | BeingDecided
    | OtherContent
    | UnknownCall
    | NoSuchAttempt
)


@value(frozen=True, slots=True)
class ReserveRequest:
    """Take the first candidate from ``start`` on that fits, giving back what this attempt holds.

    ``candidates`` is the whole plan, stored with the reservation; ``trace`` is the trace so far.
    ``lease_ms``: when the hold lapses if this decider dies.
    """

    call: Call
    campaign: CampaignId
    epoch: int
    attempt: int
    candidates: tuple[Candidate, ...]
    start: int
    trace: bytes
    lease_ms: int


@value(frozen=True, slots=True)
class Reserved:
    """``position`` holds the reservation; candidates passed over are in ``refused``."""

    position: int
    refused: tuple[tuple[int, Reason], ...] = ()


@value(frozen=True, slots=True)
class NothingFits:
    """No candidate from ``start`` on fits; nothing is held any more."""

    refused: tuple[tuple[int, Reason], ...] = ()


@value(frozen=True, slots=True)
class Superseded:
    """Another decider took the call over; ``answer`` when it has decided already."""

    answer: bytes | None


ReserveResult = Reserved | NothingFits | Superseded


@value(frozen=True, slots=True)
class Finish:
    """The decision to store. ``candidate`` None: no route, and whatever is held is given back.

    ``lease_ms``: how long the slot is held without any event; ``answered_lease_ms``: from the
    answer on; ``collected_lease_ms``: from the retry that fetches a late decision. ``late``: the
    switch has stopped waiting. ``binding`` False: a retry decides anew (unknown campaign).
    """

    call: Call
    epoch: int
    attempt: int
    action: Action
    answer: bytes
    trace: bytes
    candidate: Candidate | None = None
    destination: Destination | None = None
    reason: str | None = None
    lease_ms: int = 0
    late: bool = False
    binding: bool = True
    answered_lease_ms: int = 14_400_000
    collected_lease_ms: int = 85_000
    currency: str | None = None
    campaign: CampaignId | None = None


@value(frozen=True, slots=True)
class Finished:
    """The decision is durable."""


FinishResult = Finished | Superseded


class EventType(Enum):
    """What a switch reports about a routed call."""

    ANSWERED = "answered"
    ENDED = "ended"


class EndedBy(Enum):
    """Who hung up."""

    CALLER = "caller"
    TARGET = "target"
    SYSTEM = "system"


@value(frozen=True, slots=True)
class CallEvent:
    """One report of the switch. Durations in seconds with milliseconds kept; None when absent."""

    call_id: CallId
    event_id: str
    type: EventType
    attempt: int | None
    at: datetime
    fingerprint: bytes
    total_duration_s: Decimal | None = None
    connected_duration_s: Decimal | None = None
    ended_by: EndedBy | None = None
    sip_code: int | None = None


class EventResult(Enum):
    """What became of an event."""

    APPLIED = "applied"
    REPEATED = "repeated"
    OTHER_CONTENT = "other_content"
    UNKNOWN_CALL = "unknown_call"
    NOT_ROUTED = "not_routed"
    IGNORED = "ignored"


@value(frozen=True, slots=True)
class CallRecord:
    """All that storage keeps of one call, as ``GET /v1/calls/{call_id}`` needs it.

    ``trace`` is that of the first decision, ``later_traces`` those of further attempts by number.
    """

    call: Call
    campaign: CampaignId | None
    revision: int
    state: str
    reason: str | None
    routed_by: RoutedBy | None
    buyer: BuyerId | None
    offer: OfferId | None
    price: Decimal | None
    currency: str | None
    answered_at: datetime | None
    ended_at: datetime | None
    total_duration_s: Decimal | None
    connected_duration_s: Decimal | None
    ended_by: str | None
    converted: bool
    conversion_trigger: str | None
    revenue: Decimal
    payout: Decimal
    past_calls: tuple[PastCall, ...]
    attempts: tuple["AttemptRecord", ...]
    trace: bytes | None
    later_traces: tuple[tuple[int, bytes], ...] = ()


@value(frozen=True, slots=True)
class AttemptRecord:
    """One route given for a call."""

    attempt: int
    offer: OfferId
    routed_by: RoutedBy
    price: Decimal
    outcome: str
    reason: str | None = None


ROUTED_UNANSWERED: Final = "post unanswered, routed by policy"
"""The detail of a win whose post was not answered (``on_unknown: route``)."""


@dataclass(slots=True)
class UsageReading:
    """An owner's usage as last seen, and when (monotonic seconds)."""

    usage: Usage
    seen_at: float


@value(frozen=True, slots=True)
class TraceEntry:
    """One offer's line in a decision trace.

    ``reason`` None: the offer won. ``ms``: how long the ping took. ``shadow``: what would have held
    the ping back, if it did more than count. ``weight``: what its bids were multiplied by in the
    ranking, where anything.
    """

    offer: OfferId
    reason: Reason | None
    detail: str | None = None
    bid: Decimal | None = None
    ms: float | None = None
    rank: int | None = None
    static: bool = False
    shadow: str | None = None
    weight: Weight | None = None


@dataclass(slots=True)
class Timings:
    """Milliseconds of each step of one decision; ``waited_ms``: spent waiting for buyers."""

    eligible_ms: float = 0.0
    ping_ms: float = 0.0
    post_ms: float = 0.0
    total_ms: float = 0.0
    waited_ms: float = 0.0


@value(frozen=True, slots=True)
class Trace:
    """Why a call went where it went.

    Offers refused by their fixed terms are recomputed on reading. ``suppressed``: the lists that
    the caller was on.
    """

    revision: int
    timings: Timings
    offers: tuple[TraceEntry, ...] = field(default_factory=tuple)
    suppressed: tuple[SuppressionId, ...] = ()
    quality: Quality | None = None
