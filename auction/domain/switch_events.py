"""What a switch reports of a routed call, and what became of the report."""

from datetime import datetime
from decimal import Decimal
from enum import Enum

from auction.domain.ids import CallId
from auction.domain.value import value


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
