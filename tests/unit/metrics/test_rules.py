"""The rules for Prometheus: they name what there is, and each alert is tested and explained."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from metrics.registry import Metrics
from tests.builders import a_campaign, a_catalogue, an_offer
from tests.promql import METRICS, RULE_TESTS, Exposed, alerts, faults_of, recorded

SEVERITIES = {"page", "ticket", "info"}
ROOT = METRICS.parent


async def everything() -> Exposed:
    """What a service exposes, with all that comes when it is first there."""
    metrics = Metrics()
    metrics.preload(a_catalogue(a_campaign(an_offer(concurrency=1))))
    metrics.show_alerts({"slow": 1})
    checks = ("database", "catalogue", "draining", "workers")
    metrics.show_checks(dict.fromkeys(checks, True))
    return Exposed((await metrics.exposition()).decode())


async def test_rules_name_only_metrics_labels_and_values_that_there_are() -> None:
    asked = [
        *recorded().items(),
        *((name, rule["expr"]) for name, rule in alerts().items()),
    ]
    assert faults_of(await everything(), asked) == []


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("rate(pingpost_call_total[5m])", "there is no metric pingpost_call_total"),
        ('pingpost_calls_total{offer="a"}', "pingpost_calls_total has no label offer"),
        ('pingpost_calls_total{outcome="sold"}', "pingpost_calls_total has no outcome sold"),
        ('pingpost_pings_total{outcome!~"bid|lost"}', "pingpost_pings_total has no outcome lost"),
        ("sum by (offer) (pingpost_workers)", "nothing has the label offer"),
        ("max by (step) (job:pingpost_decisions:increase1h)", "nothing has the label step"),
        (
            'pingpost_overhead_seconds_bucket{le="0.04"}',
            "pingpost_overhead_seconds_bucket has no le 0.04",
        ),
    ],
)
async def test_what_there_is_not_is_noticed(expression: str, fault: str) -> None:
    assert list((await everything()).faults(expression)) == [fault]


def test_a_recorded_name_tells_the_labels_that_are_kept() -> None:
    for name, expression in recorded().items():
        kept = name.split(":", 1)[0].split("_")
        groupings = {frozenset(re.split(r",\s*", each)) - {"le"} for each in _by(expression)}
        assert groupings in ({frozenset(kept)}, set()), name


def _by(expression: str) -> list[str]:
    return re.findall(r"by \(([^)]*)\)", expression)


@pytest.mark.parametrize("name", alerts())
def test_an_alert_says_what_is_wrong_how_bad_it_is_and_where_to_read_on(name: str) -> None:
    rule = alerts()[name]
    assert rule["labels"]["severity"] in SEVERITIES
    notes = rule["annotations"]
    assert set(notes) == {"summary", "description", "runbook_url"}
    page, anchor = notes["runbook_url"].split("#")
    assert anchor == name.lower()
    assert f"\n### {name}\n" in (ROOT / page).read_text(encoding="utf-8")


def test_every_alert_is_tested_to_fire_and_not_to() -> None:
    tested = [test for path in RULE_TESTS for test in _alert_tests(path)]
    fires = {test["alertname"] for test in tested if test["exp_alerts"]}
    keeps_quiet = {test["alertname"] for test in tested if not test["exp_alerts"]}
    assert fires == keeps_quiet == set(alerts())


def _alert_tests(path: Path) -> list[dict[str, Any]]:
    cases = yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]
    return [test for case in cases for test in case.get("alert_rule_test", ())]
