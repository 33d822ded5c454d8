"""The life of a call as a table: what each event means in each state.

An event that does not fit the state raises nothing and changes nothing: the result says so.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from enum import Enum
from typing import Final

from auction.domain.conversions import CallFacts
from auction.domain.switch_events import CallEvent, EndedBy, EventResult, EventType

LONGEST_S: Final = Decimal(86_400)
"""No duration is above this, in seconds."""

_MILLISECOND: Final = Decimal("0.001")
_NOTHING: Final = Decimal(0)


class CallState(Enum):
    """Where a call is in its life; the value is what the CDR shows.

    ``late``: decided after the switch's deadline, waiting for its retry. ``rerouting``: an attempt
    failed and the next is being decided. ``lost``: routed, and no event came before its lease ran
    out.
    """

    DECIDING = "deciding"
    REROUTING = "rerouting"
    LATE = "late"
    ROUTED = "routed"
    ANSWERED = "answered"
    ENDED = "ended"
    NO_ROUTE = "no_route"
    LOST = "lost"

    @property
    def live(self) -> bool:
        """Whether a call in this state holds a slot."""
        return self in _LIVE


_LIVE: Final = frozenset({CallState.LATE, CallState.ROUTED, CallState.ANSWERED})
_OVER: Final = frozenset({CallState.ENDED, CallState.LOST})


class Happening(Enum):
    """What can happen to a call.

    ``attempt_failed``: the switch asks for the next route. ``lease_expired``: the call is given up
    as lost, by the end of its lease or because its switch has it no more.
    """

    DECIDED = "decided"
    DECIDED_LATE = "decided_late"
    FOUND_NO_ROUTE = "found_no_route"
    COLLECTED = "collected"
    ATTEMPT_FAILED = "attempt_failed"
    ANSWERED = "answered"
    ENDED = "ended"
    LEASE_EXPIRED = "lease_expired"


class Effect(Enum):
    """What a transition asks of the ledger.

    ``none``: nothing is held. ``hold``: keep the reservation under its lease. ``settle_answer``:
    what waits for an answer is settled. ``release``: the slot is free and all that is pending is
    settled. ``correct``: the slot was released before; book what is known now.
    """

    NONE = "none"
    HOLD = "hold"
    SETTLE_ANSWER = "settle_answer"
    RELEASE = "release"
    CORRECT = "correct"


@dataclass(frozen=True, slots=True)
class Transition:
    """The state after, and what the ledger has to do."""

    state: CallState
    effect: Effect


TRANSITIONS: Final[dict[tuple[CallState, Happening], Transition]] = {
    (CallState.DECIDING, Happening.DECIDED): Transition(CallState.ROUTED, Effect.HOLD),
    (CallState.DECIDING, Happening.DECIDED_LATE): Transition(CallState.LATE, Effect.HOLD),
    (CallState.DECIDING, Happening.FOUND_NO_ROUTE): Transition(CallState.NO_ROUTE, Effect.RELEASE),
    (CallState.REROUTING, Happening.DECIDED): Transition(CallState.ROUTED, Effect.HOLD),
    (CallState.REROUTING, Happening.DECIDED_LATE): Transition(CallState.LATE, Effect.HOLD),
    (CallState.REROUTING, Happening.FOUND_NO_ROUTE): Transition(CallState.NO_ROUTE, Effect.RELEASE),
    (CallState.LATE, Happening.ATTEMPT_FAILED): Transition(CallState.REROUTING, Effect.RELEASE),
    (CallState.ROUTED, Happening.ATTEMPT_FAILED): Transition(CallState.REROUTING, Effect.RELEASE),
    (CallState.ANSWERED, Happening.ATTEMPT_FAILED): Transition(CallState.REROUTING, Effect.RELEASE),
    (CallState.ENDED, Happening.ATTEMPT_FAILED): Transition(CallState.REROUTING, Effect.CORRECT),
    (CallState.LOST, Happening.ATTEMPT_FAILED): Transition(CallState.REROUTING, Effect.CORRECT),
    (CallState.LATE, Happening.COLLECTED): Transition(CallState.ROUTED, Effect.HOLD),
    (CallState.LATE, Happening.ANSWERED): Transition(CallState.ANSWERED, Effect.SETTLE_ANSWER),
    (CallState.LATE, Happening.ENDED): Transition(CallState.ENDED, Effect.RELEASE),
    (CallState.LATE, Happening.LEASE_EXPIRED): Transition(CallState.LOST, Effect.RELEASE),
    (CallState.ROUTED, Happening.ANSWERED): Transition(CallState.ANSWERED, Effect.SETTLE_ANSWER),
    (CallState.ROUTED, Happening.ENDED): Transition(CallState.ENDED, Effect.RELEASE),
    (CallState.ROUTED, Happening.LEASE_EXPIRED): Transition(CallState.LOST, Effect.RELEASE),
    (CallState.ANSWERED, Happening.ENDED): Transition(CallState.ENDED, Effect.RELEASE),
    (CallState.ANSWERED, Happening.LEASE_EXPIRED): Transition(CallState.LOST, Effect.RELEASE),
    (CallState.ENDED, Happening.ANSWERED): Transition(CallState.ENDED, Effect.CORRECT),
    (CallState.LOST, Happening.ANSWERED): Transition(CallState.LOST, Effect.CORRECT),
    (CallState.LOST, Happening.ENDED): Transition(CallState.ENDED, Effect.CORRECT),
    (CallState.NO_ROUTE, Happening.ENDED): Transition(CallState.NO_ROUTE, Effect.NONE),
}
"""Every event that fits a state; all others are ignored.

They are about the current attempt. What is reported of one that failed is settled on its own
reservation and moves the call in no state.
"""


def transition(state: CallState, happening: Happening) -> Transition | None:
    """What follows; None when the event does not fit the state and changes nothing."""
    return TRANSITIONS.get((state, happening))


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a call has come.

    ``attempt`` is the current route's number. ``connected_duration_s`` is None while it is not
    known, which for an ended call means that nobody answered it. Durations in seconds with
    milliseconds; times UTC.
    """

    state: CallState
    started_at: datetime
    attempt: int = 1
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    total_duration_s: Decimal | None = None
    connected_duration_s: Decimal | None = None
    ended_by: EndedBy | None = None

    @property
    def facts(self) -> CallFacts:
        """What conversion rules look at."""
        return CallFacts(
            answered=self.answered_at is not None,
            ended=self.state in _OVER,
            connected_s=self.connected_duration_s,
        )


@dataclass(frozen=True, slots=True)
class Applied:
    """The event counts. ``newly_answered``: the first that is heard of an answer."""

    progress: Progress
    effect: Effect
    newly_answered: bool


@dataclass(frozen=True, slots=True)
class NotApplied:
    """The event does not fit and changes nothing."""

    result: EventResult


@dataclass(frozen=True, slots=True)
class OfEarlier:
    """The event is about an attempt before the current one: apply it to the progress of that."""

    attempt: int


_HAPPENINGS: Final = {
    EventType.ANSWERED: Happening.ANSWERED,
    EventType.ENDED: Happening.ENDED,
}
_UNDECIDED: Final = frozenset({CallState.DECIDING, CallState.REROUTING})


def apply_event(progress: Progress, event: CallEvent) -> Applied | NotApplied | OfEarlier:
    """What the switch's report makes of the call.

    Reports may be late, out of order, or about an attempt that is over; repeats by event_id are the
    caller's business, but a second answer or end never counts again. A report without an attempt is
    about the current one, of which nothing can be reported while it is being decided.
    """
    attempt = progress.attempt if event.attempt is None else event.attempt
    if 0 < attempt < progress.attempt:
        return OfEarlier(attempt)
    if progress.state in _UNDECIDED:
        return NotApplied(EventResult.NOT_ROUTED)
    if progress.state is CallState.NO_ROUTE and event.type is EventType.ANSWERED:
        return NotApplied(EventResult.NOT_ROUTED)
    step = transition(progress.state, _HAPPENINGS[event.type])
    if step is None or attempt != progress.attempt or _heard_before(progress, event):
        return NotApplied(EventResult.IGNORED)
    return _applied(replace(progress, state=step.state), event, step.effect)


def _heard_before(progress: Progress, event: CallEvent) -> bool:
    known = progress.answered_at if event.type is EventType.ANSWERED else progress.ended_at
    return known is not None


def _applied(progress: Progress, event: CallEvent, effect: Effect) -> Applied:
    if event.type is EventType.ANSWERED:
        told = _answered(progress, event)
    elif progress.state is CallState.NO_ROUTE:
        told = _hung_up(progress, event)
    else:
        told = _ended(progress, event)
    newly_answered = progress.answered_at is None and told.answered_at is not None
    return Applied(told, effect, newly_answered)


def _hung_up(progress: Progress, event: CallEvent) -> Progress:
    """The end of a call that had nowhere to go: nobody can have answered it."""
    total = event.total_duration_s
    if total is None:
        total = _seconds_between(progress.started_at, event.at)
    return replace(progress, ended_at=event.at, total_duration_s=total, ended_by=event.ended_by)


def _answered(progress: Progress, event: CallEvent) -> Progress:
    """The answer noted; when the end came before it, the connected time follows from both."""
    progress = replace(progress, answered_at=event.at)
    if progress.ended_at is None or progress.connected_duration_s is not None:
        return progress
    connected = _seconds_between(event.at, progress.ended_at)
    return replace(progress, connected_duration_s=_at_most(connected, progress.total_duration_s))


def _ended(progress: Progress, event: CallEvent) -> Progress:
    """The end noted, with the durations that it gives or that follow from the times."""
    total, connected = event.total_duration_s, event.connected_duration_s
    if connected is None and progress.answered_at is not None:
        connected = _at_most(_seconds_between(progress.answered_at, event.at), total)
    if total is None:
        total = max(_seconds_between(progress.started_at, event.at), connected or _NOTHING)
    return replace(
        progress,
        answered_at=progress.answered_at or _implied_answer(event.at, connected),
        ended_at=event.at,
        total_duration_s=total,
        connected_duration_s=connected,
        ended_by=event.ended_by,
    )


def _implied_answer(ended_at: datetime, connected: Decimal | None) -> datetime | None:
    """A call that was connected was answered, whoever forgot to say so."""
    return ended_at - timedelta(seconds=float(connected)) if connected else None


def _at_most(duration: Decimal, limit: Decimal | None) -> Decimal:
    return duration if limit is None else min(duration, limit)


def _seconds_between(start: datetime, end: datetime) -> Decimal:
    """Whole milliseconds from start to end, at least 0 and at most a day."""
    microseconds = (end - start) // timedelta(microseconds=1)
    seconds = (Decimal(microseconds) / 1_000_000).quantize(_MILLISECOND, rounding=ROUND_DOWN)
    return min(max(seconds, _NOTHING), LONGEST_S)
