"""Which figures rules look at: over which time, and by what."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from auction.domain.alert_terms import AlertMeasure, AlertRule, SubjectKind
from auction.domain.alerting import AlertState

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Window:
    """Whole minutes from ``since`` until before ``until``, of all subjects of a kind.

    ``detailed``: with how long pings took.
    """

    since: datetime
    until: datetime
    kind: SubjectKind
    detailed: bool

    @property
    def minutes(self) -> float:
        """How long it is."""
        return (self.until - self.since) / _MINUTE


def window_of(rule: AlertRule, state: AlertState, now: datetime) -> Window:
    """What a rule reads now; never what was before its offer was resumed."""
    condition = rule.condition
    until = _floor(now - timedelta(minutes=condition.delay_minutes))
    since = until - timedelta(minutes=condition.over_minutes)
    if state.counted_from is not None:
        since = min(max(since, _floor(state.counted_from)), until)
    return Window(since, until, rule.kind, condition.measure is AlertMeasure.PING_P95_MS)


def past_of(rule: AlertRule, window: Window) -> Window | None:
    """What it is compared with, None where it is compared with nothing."""
    minutes = rule.condition.past_minutes
    if minutes is None:
        return None
    since = window.since - timedelta(minutes=minutes)
    return Window(since, window.since, window.kind, window.detailed)


def _floor(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)
