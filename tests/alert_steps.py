"""Alert rules, and looks at them in order."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from auction.domain.alert_terms import (
    AlertMeasure,
    AlertRule,
    AlertRuleId,
    AutoPause,
    Comparison,
    Condition,
)
from auction.domain.alerting import QUIET, AlertState, AlertStep, look
from tests.builders import NOON


def a_condition(**changes: Any) -> Condition:
    """More than a tenth of the pings timed out; good again from a twentieth on."""
    values: dict[str, Any] = {
        "measure": AlertMeasure.TIMEOUT_RATE,
        "comparison": Comparison.ABOVE,
        "threshold": 0.10,
        "clear": 0.05,
        **changes,
    }
    return Condition(**values)


def a_rule(
    rule_id: str = "slow",
    *,
    pause: int | str | None = "no",
    escalate: int | None = None,
    **changes: Any,
) -> AlertRule:
    """A rule on ``a_condition``; ``pause``: after how many minutes its offer is resumed."""
    terms = {
        name: changes.pop(name)
        for name in ("scope", "each_offer", "name", "told")
        if name in changes
    }
    auto = None if isinstance(pause, str) else AutoPause(pause)
    return AlertRule(
        AlertRuleId(rule_id),
        terms.pop("name", "Slow"),
        a_condition(**changes),
        auto_pause=auto,
        escalate_after_minutes=escalate,
        **terms,
    )


def at(minutes: float) -> datetime:
    """So many minutes past noon."""
    return NOON + timedelta(minutes=minutes)


def looks(
    rule: AlertRule, readings: Iterable[tuple[float, float | None]], state: AlertState = QUIET
) -> list[AlertStep]:
    """One step for each minute and what was read then."""
    steps: list[AlertStep] = []
    for minute, reading in readings:
        steps.append(look(rule, state, reading, at(minute)))
        state = steps[-1].state
    return steps
