"""What is stored of an alert that fires, and what its webhooks are told."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from auction.domain.alert_terms import AlertRule, Subject
from auction.domain.alerting import AlertEvent, AlertState, AlertStep
from config.alerts import ALERT_HOOK, ALERT_OWNER, ESCALATION_HOOK
from storage.alerts import AlertChanges, AlertNews, Fired, HeldState


def fired_alert(
    rule: AlertRule, subject: Subject, alert_id: str, value: float, now: datetime
) -> Fired:
    """The alert that begins with this reading."""
    return Fired(
        alert_id=alert_id,
        key=(rule.id, str(subject)),
        name=rule.name,
        measure=rule.condition.measure.value,
        reading=value,
        threshold=rule.condition.threshold,
        at=now,
        pauses=rule.auto_pause is not None,
    )


def tell(
    changes: AlertChanges,
    rule: AlertRule,
    subject: Subject,
    held: HeldState,
    step: AlertStep,
    value: float | None,
    now: datetime,
) -> None:
    """Note what the webhooks of a rule are to be told of this step."""
    if step.event is None or held.alert_id is None:
        return
    data = _data(rule, subject, held.alert_id, step, value, now)
    for hook in _hooks(rule, held.state, step.event):
        changes.news.append(AlertNews(f"{ALERT_OWNER}{rule.id}", hook, step.event.value, data))


def _hooks(rule: AlertRule, before: AlertState, event: AlertEvent) -> Iterator[str]:
    if rule.told and event is not AlertEvent.ESCALATED:
        yield ALERT_HOOK
    if event is AlertEvent.ESCALATED or (event is AlertEvent.RESOLVED and before.escalated):
        yield ESCALATION_HOOK


def _data(
    rule: AlertRule,
    subject: Subject,
    alert_id: str,
    step: AlertStep,
    value: float | None,
    now: datetime,
) -> Mapping[str, object]:
    return {
        "alert_id": alert_id,
        "rule": rule.id,
        "name": rule.name,
        "subject": str(subject),
        subject.kind.value: subject.id or None,
        "measure": rule.condition.measure.value,
        "reading": None if value is None else round(value, 4),
        "comparison": rule.condition.comparison.value,
        "threshold": rule.condition.threshold,
        "over_minutes": rule.condition.over_minutes,
        "resolution": None if step.resolution is None else step.resolution.value,
        "at": now.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
