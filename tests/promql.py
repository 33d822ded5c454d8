"""What the rules and dashboards ask Prometheus, held against what the service exposes."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

METRICS = Path(__file__).parents[1] / "metrics"
RULES = sorted((METRICS / "rules").glob("*.yaml"))
RULE_TESTS = sorted((METRICS / "rules" / "tests").glob("*.yaml"))
DASHBOARDS = sorted((METRICS / "dashboards").glob("*.json"))

OF_THE_TARGET = frozenset({"job", "instance"})
OF_PROMETHEUS = {
    "up": OF_THE_TARGET,
    "ALERTS": OF_THE_TARGET
    | {"alertname", "alertstate", "severity", "campaign", "offer", "cap", "step", "check"},
}
OPEN_LABELS = frozenset({"job", "instance", "campaign", "offer", "alert", "alertname", "currency"})
"""Labels whose values are the deployment's; all others have values that are known beforehand."""

_GROUPING = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_SELECTED = re.compile(r"([A-Za-z_:][\w:]*)\s*(?:\{([^}]*)\})?(?!\s*\(|\w)")
_NO_METRICS = frozenset({"and", "or", "unless", "bool", "offset", "inf", "nan"})

Matcher = tuple[str, str]
"""A label and what it is matched with."""


@dataclass(frozen=True, slots=True)
class Names:
    """What an expression names: metrics with the matchers of each, and labels that it groups by."""

    selected: tuple[tuple[str, tuple[Matcher, ...]], ...]
    grouped: frozenset[str]


def names_in(expression: str) -> Names:
    """What an expression names."""
    grouped = {label for inside in _GROUPING.findall(expression) for label in _listed(inside)}
    bare = re.sub(r"\[[^\]]*\]", " ", _GROUPING.sub(" ", expression))
    selected = [
        (name, tuple((label, value) for label, _, value in _MATCHER.findall(matchers)))
        for name, matchers in _SELECTED.findall(bare)
        if name not in _NO_METRICS
    ]
    return Names(tuple(selected), frozenset(grouped))


def _listed(labels: str) -> list[str]:
    return [label.strip() for label in labels.split(",") if label.strip()]


class Exposed:
    """Every metric that there is, by its samples' names, with the values of its labels."""

    def __init__(self, text: str) -> None:
        self.labels: dict[str, dict[str, set[str]]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                values = self.labels.setdefault(sample.name, defaultdict(set))
                for label, value in sample.labels.items():
                    values[label].add(value)
        for name, others in OF_PROMETHEUS.items():
            self.labels[name] = {label: set() for label in others}
        for name, expression in recorded().items():
            self.labels[name] = {label: set() for label in names_in(expression).grouped - {"le"}}

    def faults(self, expression: str) -> Iterator[str]:
        """Whatever the expression names that there is not."""
        names = names_in(expression)
        known = set(OF_THE_TARGET)
        for metric, matchers in names.selected:
            if metric not in self.labels:
                yield f"there is no metric {metric}"
                continue
            known.update(self.labels[metric])
            for label, value in matchers:
                yield from self._faults_of(metric, label, value)
        for label in names.grouped - known:
            yield f"nothing has the label {label}"

    def _faults_of(self, metric: str, label: str, value: str) -> Iterator[str]:
        labels = self.labels[metric]
        if label not in OF_THE_TARGET and label not in labels:
            yield f"{metric} has no label {label}"
        elif label not in OPEN_LABELS:
            for each in value.split("|"):
                if each not in labels[label]:
                    yield f"{metric} has no {label} {each}"


def rules() -> list[dict[str, Any]]:
    """All rules, in the order of the files."""
    files = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in RULES]
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


def recorded() -> dict[str, str]:
    """The recording rules: what each is called, and its expression."""
    return {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}


def alerts() -> dict[str, dict[str, Any]]:
    """The alert rules by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def dashboards() -> dict[str, dict[str, Any]]:
    """The dashboards by the names of their files."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in DASHBOARDS}


def queries(dashboard: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The title of each panel, and what it asks, with its variables."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def filled_in(expression: str) -> str:
    """An expression as Grafana would send it when everything is chosen."""
    ranges = expression.replace("$__rate_interval", "5m").replace("$__range", "1h")
    return re.sub(r"\$\w+", ".*", ranges)


def faults_of(exposed: Exposed, asked: Iterable[tuple[str, str]]) -> list[str]:
    """What queries name that there is not; each query comes with where it stands."""
    return [
        f"{where}: {fault}" for where, expression in asked for fault in exposed.faults(expression)
    ]
