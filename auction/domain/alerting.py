"""An alert's life: ok, pending, firing, acknowledged, and ok again. Time is an argument.

Nothing flaps: of an alert that fires, a reading between the threshold and where it is good again
changes nothing, one that is missing neither, and what is good again has to stay so for a while.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from auction.domain.alert_terms import AlertRule


class AlertPhase(StrEnum):
    """Where an alert stands; the values are stored and shown."""

    OK = "ok"
    PENDING = "pending"
    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"


class AlertEvent(StrEnum):
    """What subscribers are told; the values are published."""

    FIRED = "alert.fired"
    ESCALATED = "alert.escalated"
    RESOLVED = "alert.resolved"


class Resolution(StrEnum):
    """Why an alert is over; the values are stored and shown."""

    CLEARED = "cleared"
    PAUSE_OVER = "pause_over"
    """The time for its pause is up; ``pause`` tells whether the offer was resumed then."""
    GONE = "gone"
    """The rule is, or what it watched."""


@dataclass(frozen=True, slots=True)
class AlertState:
    """Where one rule stands with one subject.

    ``since``: when the phase began, of an alert that fires when it fired. ``good_since``: since
    when readings are good. ``paused_at``: when its offer was paused for it. ``counted_from``: what
    was before says nothing any more.
    """

    phase: AlertPhase = AlertPhase.OK
    since: datetime | None = None
    good_since: datetime | None = None
    escalated: bool = False
    paused_at: datetime | None = None
    counted_from: datetime | None = None

    @property
    def is_active(self) -> bool:
        """Whether it has fired and is not over."""
        return self.phase in _ACTIVE


_ACTIVE: Final = frozenset({AlertPhase.FIRING, AlertPhase.ACKNOWLEDGED})

QUIET: Final = AlertState()
"""Nothing is wrong, and nothing was."""


@dataclass(frozen=True, slots=True)
class AlertStep:
    """What one look makes of a state; ``resolution`` is set when it is over."""

    state: AlertState
    event: AlertEvent | None = None
    resolution: Resolution | None = None


def look(rule: AlertRule, state: AlertState, reading: float | None, now: datetime) -> AlertStep:
    """The state after a reading (None: too little has happened), and what is to be told."""
    if not state.is_active:
        return _watch(rule, state, reading, now)
    if _time_to_try_again(rule, state, now):
        resumed = AlertState(counted_from=now)
        return AlertStep(resumed, AlertEvent.RESOLVED, Resolution.PAUSE_OVER)
    state = _judged(rule, state, reading, now)
    wait = timedelta(minutes=rule.condition.clear_after_minutes)
    if state.good_since is not None and now - state.good_since >= wait:
        over = AlertState(counted_from=state.counted_from)
        return AlertStep(over, AlertEvent.RESOLVED, Resolution.CLEARED)
    if _time_to_escalate(rule, state, now):
        return AlertStep(replace(state, escalated=True), AlertEvent.ESCALATED)
    return AlertStep(state)


def acknowledged(state: AlertState) -> AlertState:
    """Somebody sees to it: it does not escalate any more."""
    if state.phase is AlertPhase.FIRING:
        return replace(state, phase=AlertPhase.ACKNOWLEDGED)
    return state


def _watch(rule: AlertRule, state: AlertState, reading: float | None, now: datetime) -> AlertStep:
    if reading is None or not rule.condition.is_bad(reading):
        return AlertStep(AlertState(counted_from=state.counted_from))
    since = state.since or now
    if now - since < timedelta(minutes=rule.condition.for_minutes):
        return AlertStep(replace(state, phase=AlertPhase.PENDING, since=since))
    fired = AlertState(AlertPhase.FIRING, since=now, counted_from=state.counted_from)
    return AlertStep(fired, AlertEvent.FIRED)


def _judged(rule: AlertRule, state: AlertState, reading: float | None, now: datetime) -> AlertState:
    if reading is None:
        return state
    good = rule.condition.is_good(reading)
    return replace(state, good_since=(state.good_since or now) if good else None)


def _time_to_try_again(rule: AlertRule, state: AlertState, now: datetime) -> bool:
    minutes = rule.auto_pause.resume_after_minutes if rule.auto_pause else None
    if minutes is None or state.paused_at is None:
        return False
    return now - state.paused_at >= timedelta(minutes=minutes)


def _time_to_escalate(rule: AlertRule, state: AlertState, now: datetime) -> bool:
    minutes = rule.escalate_after_minutes
    if minutes is None or state.escalated or state.phase is not AlertPhase.FIRING:
        return False
    assert state.since is not None, "what fires has begun to"
    return now - state.since >= timedelta(minutes=minutes)
