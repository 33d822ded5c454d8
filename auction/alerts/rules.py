"""Alert rules as an operator writes them, turned into those that the domain judges by."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from auction.domain.alert_terms import (
    COUNTED,
    EVERYTHING,
    AlertMeasure,
    AlertRule,
    AlertRuleId,
    AutoPause,
    Comparison,
    Condition,
    Subject,
    SubjectKind,
)
from auction.domain.terms import Catalogue
from config.alerts import Alert

_DELAYS: Final = {
    AlertMeasure.ANSWER_RATE: 2,
    AlertMeasure.UNANSWERED_CALLS: 2,
    AlertMeasure.CONVERSION_RATE: 15,
}
"""Minutes until of nearly every call is known what a measure counts."""

_BANDS: Final = {
    Comparison.ABOVE: Decimal("0.9"),
    Comparison.AT_LEAST: Decimal("0.9"),
    Comparison.BELOW: Decimal("1.1"),
}

_KINDS: Final = (
    SubjectKind.CAMPAIGN,
    SubjectKind.BUYER,
    SubjectKind.OFFER,
    SubjectKind.SOURCE,
)


@dataclass(frozen=True, slots=True)
class RulesInForce:
    """The rules of a revision and what they speak of."""

    catalogue: Catalogue
    rules: Sequence[AlertRule]


def compile_rules(alerts: Iterable[Alert]) -> tuple[AlertRule, ...]:
    """The rules that are in force."""
    return tuple(_rule(alert) for alert in alerts if alert.enabled)


def _rule(alert: Alert) -> AlertRule:
    return AlertRule(
        id=AlertRuleId(alert.id),
        name=alert.name or alert.id,
        condition=_condition(alert),
        scope=_scope(alert),
        each_offer=alert.each_offer,
        auto_pause=_auto_pause(alert),
        escalate_after_minutes=None if alert.escalation is None else alert.escalation.after_minutes,
        told=alert.webhook is not None,
    )


def _auto_pause(alert: Alert) -> AutoPause | None:
    pause = alert.auto_pause
    return None if pause is None else AutoPause(pause.resume_after_minutes, pause.at_most)


def _scope(alert: Alert) -> Subject:
    for kind in _KINDS:
        name = getattr(alert, kind.value)
        if name is not None:
            return Subject(kind, name)
    return EVERYTHING


def _condition(alert: Alert) -> Condition:
    comparison, threshold = _threshold(alert)
    clear = alert.clear if alert.clear is not None else _clear(alert, comparison, threshold)
    delay = alert.delay_minutes
    return Condition(
        measure=alert.measure,
        comparison=comparison,
        threshold=float(threshold),
        clear=float(clear),
        over_minutes=alert.over_minutes,
        minimum_sample=alert.minimum_sample,
        for_minutes=alert.for_minutes,
        clear_after_minutes=alert.clear_after_minutes,
        delay_minutes=_DELAYS.get(alert.measure, 0) if delay is None else delay,
        past_minutes=alert.past_minutes,
    )


def _threshold(alert: Alert) -> tuple[Comparison, Decimal]:
    for comparison in Comparison:
        level: Decimal | None = getattr(alert, comparison.value)
        if level is not None:
            return comparison, level
    raise AssertionError("a rule compares with something")


def _clear(alert: Alert, comparison: Comparison, threshold: Decimal) -> Decimal:
    """A band of a tenth, but for numbers of calls, which have none between."""
    return threshold if alert.measure in COUNTED else threshold * _BANDS[comparison]
