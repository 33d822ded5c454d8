"""Which stretches of time rules look at."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from auction.domain.alert_terms import AlertRule, SubjectKind
from auction.domain.alerting import AlertState

_MINUTE = timedelta(minutes=1)
_QUARTER = timedelta(minutes=15)
_LONG = timedelta(hours=2)


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """From ``since`` until before ``until``, in whole minutes, or in ``quarters`` of an hour."""

    since: datetime
    until: datetime
    quarters: bool = False

    @property
    def minutes(self) -> float:
        """How long it is."""
        return (self.until - self.since) / _MINUTE


def window_of(rule: AlertRule, state: AlertState, now: datetime) -> Window:
    """What a rule reads now; never what was before its offer was resumed."""
    condition = rule.condition
    until = now - timedelta(minutes=condition.delay_minutes)
    since = until - timedelta(minutes=condition.over_minutes)
    if state.counted_from is not None:
        since = min(max(since, state.counted_from), until)
    return _whole(since, until, quarters=rule.scope.kind is SubjectKind.SOURCE)


def past_of(rule: AlertRule, window: Window) -> Window | None:
    """What it is compared with, None where it is compared with nothing."""
    minutes = rule.condition.past_minutes
    if minutes is None:
        return None
    since = window.since - timedelta(minutes=minutes)
    quarters = window.quarters or window.since - since > _LONG
    return _whole(since, window.since, quarters=quarters)


def _whole(since: datetime, until: datetime, *, quarters: bool) -> Window:
    step = _QUARTER if quarters else _MINUTE
    return Window(_floor(since, step), until, quarters)


def _floor(at: datetime, step: timedelta) -> datetime:
    return at - (at - datetime(2020, 1, 1, tzinfo=at.tzinfo)) % step
