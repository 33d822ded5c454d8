"""Alert rules in a marketplace file."""

import json
import re
from pathlib import Path

import pytest

from config.check import check, check_text
from config.marketplace import export_yaml, read_marketplace
from config.sealing import hide, seal
from config.secret_box import SecretBox
from tests.unit.config.samples import ACCEPTANCE, SET, changed, check_changed

SLOW = {"id": "slow", "offer": "acme-auto", "measure": "timeout_rate", "above": "0.10"}
HOOK = {
    "url": "https://ops.example/in",
    "secret": "opensesame",
    "body": {"w": "{{ data.subject }}"},
}


def faults_of(**changes: object) -> list[str]:
    rule = {name: value for name, value in {**SLOW, **changes}.items() if value != "absent"}
    return [str(fault) for fault in check_changed((("alerts",), [rule])).faults]


@pytest.mark.parametrize(
    "rule",
    [
        SLOW,
        {"measure": "bid_rate", "below": "0.05", "each_offer": True, "campaign": "auto-insurance"},
        {"measure": "accept_rate", "below": "0.7", "past_minutes": 1440, "buyer": "acme"},
        {"measure": "cap_used_ratio", "at_least": "0.9", "each_offer": True},
        {"measure": "cap_forecast_ratio", "at_least": 1, "offer": "acme-auto"},
        {"measure": "calls", "below": 1, "over_minutes": 30},
        {"measure": "unanswered_calls", "at_least": 3, "over_minutes": 60, "each_offer": True},
        {"measure": "ping_p95_ms", "above": "1.5", "past_minutes": 60, "each_offer": True},
        {"measure": "conversion_rate", "below": "0.1", "source": "pub-17", "over_minutes": 60},
        {
            **SLOW,
            "auto_pause": {"resume_after_minutes": 30},
            "webhook": HOOK,
            "escalation": {"after_minutes": 15, "webhook": HOOK},
        },
    ],
)
def test_rules_that_operators_ask_for_can_be_written(rule: dict[str, object]) -> None:
    assert check_changed((("alerts",), [rule])).faults == ()


@pytest.mark.parametrize(
    ("changes", "place", "message"),
    [
        ({"offer": "gone"}, "offer", "names an offer that is not there"),
        ({"buyer": "acme"}, "offer", "can't be together with buyer"),
        ({"measure": "luck"}, "measure", "must be one of"),
        ({"above": "absent"}, "below", "give one of above, at_least and below"),
        ({"below": "0.2"}, "below", "give one of above, at_least and below"),
        ({"above": "-1"}, "above", "must be a number from 0"),
        ({"clear": "0.2"}, "clear", "is beyond above 0.1"),
        ({"above": "absent", "below": "0.2", "clear": "0.1"}, "clear", "is beyond below 0.2"),
        ({"measure": "cap_used_ratio", "offer": "absent"}, "measure", "is read of an offer"),
        ({"measure": "cap_used_ratio", "past_minutes": 60}, "past_minutes", "not with caps"),
        ({"past_minutes": 4}, "past_minutes", "is shorter than over_minutes"),
        ({"offer": "absent", "auto_pause": {}}, "auto_pause", "pauses an offer"),
        ({"offer": "absent", "source": "p"}, "over_minutes", "must be a multiple of 15"),
        (
            {"offer": "absent", "source": "p", "over_minutes": 15, "each_offer": True},
            "each_offer",
            "not kept by offer",
        ),
        ({"webhook": {**HOOK, "body": {"w": "{{ luck }}"}}}, "webhook.body.w", "unknown token"),
        (
            {"webhook": {"url": "http://a/", "headers": {"X-Pingpost-Timestamp": "1"}}},
            "headers",
            "set by",
        ),
    ],
)
def test_what_is_wrong_with_a_rule_is_told_at_its_place(
    changes: dict[str, object], place: str, message: str
) -> None:
    [text] = faults_of(**changes)
    assert f"alerts[0].{place}" in text or place in text
    assert message in text


def test_two_rules_of_one_id_and_a_rule_without_one() -> None:
    twice = [dict(SLOW), dict(SLOW)]
    [fault] = check_changed((("alerts",), twice)).faults
    assert "is the id of alerts[0]" in str(fault)
    unnamed = {**SLOW, "id": None, "name": "Acme is slow"}
    result = check_changed((("alerts",), [unnamed]))
    assert result.marketplace is not None
    assert [rule.id for rule in result.marketplace.alerts] == ["acme-is-slow"]


def test_secrets_of_both_webhooks_are_sealed_kept_and_never_exported() -> None:
    box = SecretBox(bytes(32))
    rule = {**SLOW, "webhook": HOOK, "escalation": {"after_minutes": 5, "webhook": HOOK}}
    data, _ = check(changed((("alerts",), [rule])), SET).usable()
    stored = seal(data, box)
    assert "opensesame" not in json.dumps(stored)
    assert seal(hide(stored), box, stored) == stored
    exported = export_yaml(read_marketplace(stored))
    assert exported.count("keep: true") == 2
    again, _ = check_text(exported.encode(), SET).usable()
    assert seal(again, box, stored) == stored


def test_the_documented_rules_have_no_fault() -> None:
    page = (Path(__file__).parents[3] / "docs" / "alerts.md").read_text()
    [rules] = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    result = check_text((ACCEPTANCE.read_text() + rules).encode(), SET)
    assert result.faults == ()
    assert result.marketplace is not None
    assert len(result.marketplace.alerts) == 9


@pytest.mark.parametrize(
    ("pause", "measure", "warned"),
    [
        ({}, "timeout_rate", True),
        ({"resume_after_minutes": 5}, "timeout_rate", False),
        ({}, "unanswered_calls", False),
    ],
)
def test_a_pause_that_nothing_would_ever_lift_is_warned_of(
    pause: dict[str, object], measure: str, *, warned: bool
) -> None:
    rule = {**SLOW, "measure": measure, "above": 5, "auto_pause": pause}
    warnings = [str(each) for each in check_changed((("alerts",), [rule])).warnings]
    assert any("alerts[0].auto_pause" in each for each in warnings) is warned
