"""One look at everything: from figures and states to what has changed. No I/O here."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from auction.alerts.telling import Happening
from auction.alerts.windows import Window, past_of, window_of
from auction.domain.alert_measures import could_take_calls, reading
from auction.domain.alert_terms import (
    OF_CAPS,
    AlertMeasure,
    AlertRule,
    AlertRuleId,
    Comparison,
    Condition,
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
from storage.alerts import AlertChanges, HeldState, Key

Read = Mapping[Window, Mapping[Subject, Figures]]

MOST_AT_ONCE: Final = 1_000
"""How many alerts of one rule may begin at one look."""

_NOTHING: Final = Figures()
_QUIET: Final = HeldState()


@dataclass(frozen=True, slots=True)
class Scene:
    """What a look sees. ``new_id`` makes the identifiers of what fires."""

    rules: Sequence[AlertRule]
    catalogue: Catalogue
    states: Mapping[Key, HeldState]
    usage: Mapping[OwnerId, Usage]
    now: datetime
    new_id: Callable[[], str]
    _by_rule: Mapping[str, Sequence[tuple[str, HeldState]]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        by_rule: defaultdict[str, list[tuple[str, HeldState]]] = defaultdict(list)
        for (rule, subject), held in self.states.items():
            by_rule[rule].append((subject, held))
        object.__setattr__(self, "_by_rule", by_rule)

    def held(self, rule: AlertRule, subject: Subject) -> HeldState:
        """Where a rule stands with one of its subjects."""
        return self.states.get((rule.id, str(subject)), _QUIET)

    def stored_of(self, rule: AlertRule) -> Iterator[tuple[Subject, HeldState]]:
        """The subjects of a rule with which it is not quiet."""
        for subject, held in self._by_rule.get(rule.id, ()):
            yield Subject.read(subject), held

    def windows(self) -> set[Window]:
        """Every stretch of time that is to be read."""
        found: set[Window] = set()
        for rule in self.rules:
            if rule.condition.measure not in OF_CAPS:
                states = {QUIET, *(held.state for _, held in self.stored_of(rule))}
                for window in {window_of(rule, state, self.now) for state in states}:
                    past = past_of(rule, window)
                    found.update((window,) if past is None else (window, past))
        return found

    def needs_usage(self) -> bool:
        """Whether any rule looks at caps."""
        return any(rule.condition.measure in OF_CAPS for rule in self.rules)


def judge(scene: Scene, read: Read) -> AlertChanges:
    """What is different now."""
    changes = AlertChanges()
    for rule in scene.rules:
        bounds = _Bounds.of(scene, rule)
        for subject in _to_look_at(scene, read, rule):
            held = scene.held(rule, subject)
            value = _reading(scene, read, rule, subject, held.state)
            step = look(rule, held.state, value, scene.now)
            if step.event is not AlertEvent.FIRED:
                _note(changes, scene, rule, subject, step, value)
            elif bounds.may_fire():
                _note(changes, scene, rule, subject, step, value, pauses=bounds.may_pause())
    _let_go(changes, scene)
    return changes


@dataclass(slots=True)
class _Bounds:
    """How much more a rule may do at this look, so that one mistake does not stop everything."""

    fires: int
    pauses: int

    @classmethod
    def of(cls, scene: Scene, rule: AlertRule) -> "_Bounds":
        """Room beside what is active already; what finds none fires at a later look."""
        active = sum(held.state.is_active for _, held in scene.stored_of(rule))
        return cls(MOST_AT_ONCE, rule.auto_pause.at_most - active if rule.auto_pause else 0)

    def may_fire(self) -> bool:
        """Whether one more may fire, which is then counted."""
        self.fires -= 1
        return self.fires >= 0

    def may_pause(self) -> bool:
        """Whether one more offer may be paused, which is then counted."""
        self.pauses -= 1
        return self.pauses >= 0


def _to_look_at(scene: Scene, read: Read, rule: AlertRule) -> Iterable[Subject]:
    """Of thousands of offers those with which anything can change."""
    if not rule.each_offer or rule.condition.measure in OF_CAPS or _misses_calls(rule.condition):
        return rule.subjects(scene.catalogue)
    lately = {*read[window_of(rule, QUIET, scene.now)]}
    lately.update(subject for subject, _ in scene.stored_of(rule))
    return (each for each in sorted(lately) if rule.watches(each, scene.catalogue))


def _let_go(changes: AlertChanges, scene: Scene) -> None:
    """End what is watched no more; a rule that is left tells it."""
    rules = {rule.id: rule for rule in scene.rules}
    for key, held in scene.states.items():
        rule, subject = rules.get(AlertRuleId(key[0])), Subject.read(key[1])
        if rule is not None and rule.watches(subject, scene.catalogue):
            continue
        changes.states[key] = _QUIET
        if held.alert_id is None:
            continue
        if rule is None:
            changes.resolved.append((held.alert_id, Resolution.GONE))
        else:
            facts = (rule, subject, held.alert_id, AlertEvent.RESOLVED, held.state, None, scene.now)
            _add(changes, Happening(*facts, resolution=Resolution.GONE))


def _reading(
    scene: Scene, read: Read, rule: AlertRule, subject: Subject, state: AlertState
) -> float | None:
    condition = rule.condition
    if condition.measure in OF_CAPS:
        return _cap_reading(scene, condition.measure, subject)
    window = window_of(rule, state, scene.now)
    if _says_nothing(scene, rule, subject, window):
        return None
    past = past_of(rule, window)
    before = None if past is None else read[past].get(subject, _NOTHING)
    minutes = 0.0 if past is None else past.minutes
    return reading(condition, read[window].get(subject, _NOTHING), before, minutes)


def _says_nothing(scene: Scene, rule: AlertRule, subject: Subject, window: Window) -> bool:
    """Few calls mean nothing while nobody could take any, or since a moment ago only."""
    if not _misses_calls(rule.condition):
        return False
    if window.minutes < rule.condition.over_minutes:
        return True
    offers = offers_in(subject, scene.catalogue)
    return not could_take_calls(offers, window.since, window.until)


def _misses_calls(condition: Condition) -> bool:
    return condition.measure is AlertMeasure.CALLS and condition.comparison is Comparison.BELOW


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
    step: AlertStep,
    value: float | None,
    *,
    pauses: bool = False,
) -> None:
    held = scene.held(rule, subject)
    state = _without_stale_past(rule, step.state, scene.now)
    alert_id = scene.new_id() if step.event is AlertEvent.FIRED else held.alert_id
    kept = HeldState(state, alert_id if state.is_active else None)
    if kept != held:
        changes.states[rule.id, str(subject)] = kept
    if step.event is not None and alert_id is not None:
        facts = (rule, subject, alert_id, step.event, held.state, value, scene.now)
        _add(changes, Happening(*facts, resolution=step.resolution, pauses=pauses))


def _add(changes: AlertChanges, happening: Happening) -> None:
    if happening.event is AlertEvent.FIRED:
        changes.fired.append(happening.fired())
    elif happening.event is AlertEvent.ESCALATED:
        changes.escalated.append(happening.alert_id)
    elif happening.resolution is not None:
        changes.resolved.append((happening.alert_id, happening.resolution))
    changes.news.extend(happening.news())


def _without_stale_past(rule: AlertRule, state: AlertState, now: datetime) -> AlertState:
    """A quiet state whose beginning lies before all that is read is like one without any."""
    if state.counted_from is None or state != AlertState(counted_from=state.counted_from):
        return state
    since = window_of(rule, QUIET, now).since
    return QUIET if state.counted_from <= since else state
