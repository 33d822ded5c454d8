"""One look at everything: from figures and states to what has changed. No I/O here."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from auction.alerts.windows import Window, past_of, window_of
from auction.domain.alert_measures import could_take_calls, reading
from auction.domain.alert_terms import (
    OF_CAPS,
    AlertMeasure,
    AlertRule,
    Comparison,
    Subject,
    offers_in,
)
from auction.domain.alerting import (
    QUIET,
    AlertEvent,
    AlertState,
    AlertStep,
    Resolution,
    look,
)
from auction.domain.cap_outlook import cap_outlooks
from auction.domain.ids import OfferId, OwnerId
from auction.domain.report_figures import Figures
from auction.domain.terms import Catalogue
from auction.domain.usage import Usage
from storage.alerts import AlertChanges, AlertNews, Fired, HeldState, Key

Read = Mapping[Window, Mapping[Subject, Figures]]

_NOTHING: Final = Figures()

HOOK: Final = "alert"
ESCALATION: Final = "escalation"
"""The webhooks of a rule; their owner is ``alert:<rule>``."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What a look sees. ``new_id`` makes the identifiers of what fires."""

    rules: Sequence[AlertRule]
    catalogue: Catalogue
    states: Mapping[Key, HeldState]
    usage: Mapping[OwnerId, Usage]
    now: datetime
    new_id: Callable[[], str]

    def watched(self) -> Iterator[tuple[AlertRule, Subject, HeldState]]:
        """Every rule with each of its subjects, and where it stands."""
        for rule in self.rules:
            for subject in rule.subjects(self.catalogue):
                yield rule, subject, self.states.get((rule.id, str(subject)), HeldState())

    def windows(self) -> set[Window]:
        """Every stretch of time that is to be read."""
        found: set[Window] = set()
        for rule, subject, held in self.watched():
            if rule.condition.measure not in OF_CAPS:
                window = window_of(rule, subject.kind, held.state, self.now)
                past = past_of(rule, window)
                found.update((window,) if past is None else (window, past))
        return found

    def with_usage(self, usage: Mapping[OwnerId, Usage]) -> "Scene":
        """The same, with what owners of caps have used."""
        return replace(self, usage=usage)

    def needs_usage(self) -> bool:
        """Whether any rule looks at caps."""
        return any(rule.condition.measure in OF_CAPS for rule in self.rules)


def judge(scene: Scene, read: Read) -> AlertChanges:
    """What is different now."""
    changes = AlertChanges()
    seen: set[Key] = set()
    for rule, subject, held in scene.watched():
        seen.add((rule.id, str(subject)))
        value = _reading(scene, read, rule, subject, held.state)
        step = look(rule, held.state, value, scene.now)
        _note(changes, scene, rule, subject, held, step, value)
    for key, held in scene.states.items():
        if key not in seen:
            changes.states[key] = HeldState()
            if held.alert_id is not None:
                changes.resolved.append((held.alert_id, Resolution.RULE_GONE))
    return changes


def _reading(
    scene: Scene, read: Read, rule: AlertRule, subject: Subject, state: AlertState
) -> float | None:
    condition = rule.condition
    if condition.measure in OF_CAPS:
        return _cap_reading(scene, condition.measure, subject)
    window = window_of(rule, subject.kind, state, scene.now)
    if _says_nothing(scene, rule, subject, window):
        return None
    past = past_of(rule, window)
    before = None if past is None else read[past].get(subject, _NOTHING)
    minutes = 0.0 if past is None else past.minutes
    return reading(condition, read[window].get(subject, _NOTHING), before, minutes)


def _says_nothing(scene: Scene, rule: AlertRule, subject: Subject, window: Window) -> bool:
    """Few calls mean nothing while nobody could take any, or since a moment ago only."""
    condition = rule.condition
    if condition.measure is not AlertMeasure.CALLS or condition.comparison is not Comparison.BELOW:
        return False
    if window.minutes < condition.over_minutes:
        return True
    offers = offers_in(subject, scene.catalogue)
    return not could_take_calls(offers, window.since, window.until)


def _cap_reading(scene: Scene, measure: AlertMeasure, subject: Subject) -> float | None:
    offer = scene.catalogue.offers[OfferId(subject.id)]
    outlooks = cap_outlooks(offer, scene.usage, scene.now)
    if measure is AlertMeasure.CAP_USED_RATIO:
        return max((each.used for each in outlooks), default=None)
    told = (each.forecast for each in outlooks if each.forecast is not None)
    return max(told, default=None)


def _note(
    changes: AlertChanges,
    scene: Scene,
    rule: AlertRule,
    subject: Subject,
    held: HeldState,
    step: AlertStep,
    value: float | None,
) -> None:
    state = _without_stale_past(rule, step.state, scene.now)
    alert_id = scene.new_id() if step.event is AlertEvent.FIRED else held.alert_id
    kept = HeldState(state, alert_id if state.is_active else None)
    if kept != held:
        changes.states[rule.id, str(subject)] = kept
    if step.event is None or alert_id is None:
        return
    if step.event is AlertEvent.FIRED:
        changes.fired.append(_fired(rule, subject, alert_id, value or 0.0, scene.now))
    elif step.event is AlertEvent.ESCALATED:
        changes.escalated.append(alert_id)
    elif step.resolution is not None:
        changes.resolved.append((alert_id, step.resolution))
    data = _data(scene, rule, subject, alert_id, step, value)
    for hook in _hooks(rule, held.state, step.event):
        changes.news.append(AlertNews(f"alert:{rule.id}", hook, step.event.value, data))


def _without_stale_past(rule: AlertRule, state: AlertState, now: datetime) -> AlertState:
    """A quiet state whose beginning lies before all that is read is like one without any."""
    if state.counted_from is None or state != AlertState(counted_from=state.counted_from):
        return state
    since = window_of(rule, rule.scope.kind, QUIET, now).since
    return QUIET if state.counted_from <= since else state


def _fired(rule: AlertRule, subject: Subject, alert_id: str, value: float, now: datetime) -> Fired:
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


def _hooks(rule: AlertRule, before: AlertState, event: AlertEvent) -> Iterator[str]:
    if rule.told and event is not AlertEvent.ESCALATED:
        yield HOOK
    if event is AlertEvent.ESCALATED or (event is AlertEvent.RESOLVED and before.escalated):
        yield ESCALATION


def _data(
    scene: Scene,
    rule: AlertRule,
    subject: Subject,
    alert_id: str,
    step: AlertStep,
    value: float | None,
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
        "at": scene.now.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
