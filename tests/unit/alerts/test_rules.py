"""Rules as they are judged by, and the time that they look at."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from auction.alerts.rules import compile_rules
from auction.alerts.windows import past_of, window_of
from auction.domain.alert_terms import (
    EVERYTHING,
    AlertMeasure,
    AlertRule,
    Comparison,
    Subject,
    SubjectKind,
)
from auction.domain.alerting import QUIET, AlertState
from config.alerts import Alert
from tests.alert_steps import a_rule

NOW = datetime(2026, 11, 20, 17, 3, 20, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def compiled(**keys: Any) -> AlertRule:
    values = {"id": "slow", "measure": "timeout_rate", "above": "0.10", **keys}
    [rule] = compile_rules([Alert.model_validate(values)])
    return rule


def test_a_rule_that_says_little_watches_everything_with_a_band_of_a_tenth() -> None:
    rule = compiled()
    assert (rule.id, rule.name, rule.scope) == ("slow", "slow", EVERYTHING)
    assert (rule.auto_pause, rule.escalate_after_minutes, rule.told) == (None, None, False)
    condition = rule.condition
    assert (condition.comparison, condition.threshold) == (Comparison.ABOVE, 0.1)
    assert condition.clear == pytest.approx(0.09)
    assert (condition.over_minutes, condition.minimum_sample) == (5, 20)


@pytest.mark.parametrize(
    ("keys", "comparison", "threshold", "clear"),
    [
        ({"above": None, "at_least": "0.9"}, Comparison.AT_LEAST, 0.9, 0.81),
        ({"above": None, "below": "0.05"}, Comparison.BELOW, 0.05, 0.055),
        ({"above": None, "below": 1, "measure": "calls"}, Comparison.BELOW, 1.0, 1.0),
        ({"clear": "0.02"}, Comparison.ABOVE, 0.1, 0.02),
        ({"clear": 0}, Comparison.ABOVE, 0.1, 0.0),
    ],
)
def test_what_a_rule_compares_with(
    keys: dict[str, Any], comparison: Comparison, threshold: float, clear: float
) -> None:
    condition = compiled(**keys).condition
    assert (condition.comparison, condition.threshold) == (comparison, threshold)
    assert condition.clear == pytest.approx(clear)


def test_whose_figures_what_is_done_and_who_is_told() -> None:
    hook = {"url": "https://ops.example/"}
    rule = compiled(
        buyer="acme",
        each_offer=True,
        auto_pause={"resume_after_minutes": 30},
        webhook=hook,
        escalation={"after_minutes": 15, "webhook": hook},
    )
    assert (rule.scope, rule.each_offer) == (Subject(SubjectKind.BUYER, "acme"), True)
    assert rule.auto_pause is not None
    assert rule.auto_pause.resume_after_minutes == 30
    assert (rule.escalate_after_minutes, rule.told) == (15, True)


def test_a_rule_that_is_off_is_not_in_force() -> None:
    off = Alert.model_validate({"id": "a", "measure": "calls", "below": 1, "enabled": False})
    assert compile_rules([off]) == ()


def test_what_takes_time_to_be_known_is_looked_at_later() -> None:
    assert compiled(measure="unanswered_calls", delay_minutes=7).condition.delay_minutes == 7
    rule = compiled(measure="answer_rate")
    window = window_of(rule, QUIET, NOW)
    assert window.until == NOW.replace(second=0) - 2 * MINUTE
    assert window.until - window.since == 5 * MINUTE
    assert not window.detailed
    assert past_of(rule, window) is None


def test_the_past_is_the_time_before_and_ping_times_are_asked_for_where_they_are_needed() -> None:
    rule = a_rule(measure=AlertMeasure.PING_P95_MS, past_minutes=60)
    window = window_of(rule, QUIET, NOW)
    past = past_of(rule, window)
    assert past is not None
    assert (past.since, past.until) == (window.since - 60 * MINUTE, window.since)
    assert window.detailed
    assert past.detailed


def test_what_was_before_an_offer_was_resumed_is_not_read() -> None:
    resumed = AlertState(counted_from=NOW - 2 * MINUTE)
    window = window_of(a_rule(), resumed, NOW)
    assert (window.since, window.minutes) == (NOW.replace(second=0) - 2 * MINUTE, 2.0)
    late = window_of(a_rule(delay_minutes=10), resumed, NOW)
    assert late.minutes == 0.0
