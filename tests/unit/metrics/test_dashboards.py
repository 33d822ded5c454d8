"""The dashboards: what Grafana takes, laid out without overlaps, and asking for what there is."""

import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest

from tests.promql import alerts, dashboards, faults_of, names_in, queries
from tests.unit.metrics.test_rules import everything

COLUMNS = 24
UNITS = {"short", "percentunit", "s", "bytes", "reqps", "ops", "currencyUSD"}
KINDS = {"timeseries", "stat", "table", "heatmap", "bargauge", "state-timeline", "row"}
OF_GRAFANA = {"__rate_interval", "__range"}

every_dashboard = pytest.mark.parametrize("name", dashboards())


def shown(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The panels that are no headings."""
    return (panel for panel in dashboard["panels"] if panel["type"] != "row")


def test_there_are_three_that_grafana_can_tell_apart() -> None:
    assert set(dashboards()) == {"business", "performance", "health"}
    for key in ("uid", "title"):
        assert len({each[key] for each in dashboards().values()}) == 3


@every_dashboard
def test_a_dashboard_has_what_grafana_asks_for(name: str) -> None:
    dashboard = dashboards()[name]
    assert dashboard["schemaVersion"] == 39
    assert dashboard["id"] is None, "the one of whoever imports it"
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", dashboard["uid"])
    assert {"time", "refresh", "tags", "annotations", "templating"} <= set(dashboard)
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))


@every_dashboard
async def test_every_query_names_only_metrics_labels_and_values_that_there_are(name: str) -> None:
    asked = list(queries(dashboards()[name]))
    assert len(asked) > 10
    assert faults_of(await everything(), asked) == []


@every_dashboard
def test_a_panel_asks_the_chosen_source_and_tells_its_unit_and_thresholds(name: str) -> None:
    for panel in shown(dashboards()[name]):
        title, defaults = panel["title"], panel["fieldConfig"]["defaults"]
        assert panel["type"] in KINDS, title
        assert defaults["unit"] in UNITS, title
        first, *others = defaults["thresholds"]["steps"]
        assert first["value"] is None, title
        values = [step["value"] for step in others]
        assert values == sorted(set(values)), title
        asked = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert asked == [{"type": "prometheus", "uid": "${datasource}"}] * len(asked), title
        letters = [target["refId"] for target in panel["targets"]]
        assert letters == sorted(set(letters)), title


@every_dashboard
def test_a_legend_shows_labels_that_its_query_keeps(name: str) -> None:
    for panel in shown(dashboards()[name]):
        for target in panel["targets"]:
            kept = names_in(target["expr"]).grouped or {"instance"}
            legend = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            assert legend <= kept, panel["title"]


@every_dashboard
def test_panels_stay_inside_the_grid_and_overlap_nowhere(name: str) -> None:
    places = [(panel["title"], panel["gridPos"]) for panel in dashboards()[name]["panels"]]
    for title, place in places:
        assert place["x"] >= 0 < place["w"], title
        assert place["x"] + place["w"] <= COLUMNS, title
        assert place["y"] >= 0 < place["h"], title
    for (one, first), (two, second) in combinations(places, 2):
        assert not _overlap(first, second), f"{one} and {two}"


def _overlap(one: dict[str, int], two: dict[str, int]) -> bool:
    across = one["x"] < two["x"] + two["w"] and two["x"] < one["x"] + one["w"]
    down = one["y"] < two["y"] + two["h"] and two["y"] < one["y"] + one["h"]
    return across and down


@every_dashboard
async def test_variables_are_used_and_ask_for_labels_that_there_are(name: str) -> None:
    dashboard = dashboards()[name]
    defined = {each["name"]: each for each in dashboard["templating"]["list"]}
    text = " ".join(expression for _, expression in queries(dashboard))
    used = set(re.findall(r"\$\{?(\w+)", text)) - OF_GRAFANA
    assert used | {"datasource"} == set(defined)
    assert defined.pop("datasource")["query"] == "prometheus"
    exposed = await everything()
    for variable in defined.values():
        asked = variable["query"]["query"].removeprefix("label_values(").removesuffix(")")
        selector, _, label = asked.rpartition(", ")
        assert list(exposed.faults(f"sum by ({label}) ({selector})")) == []


def test_what_alerts_look_at_is_on_a_dashboard() -> None:
    shown_metrics = {
        metric
        for dashboard in dashboards().values()
        for _, expression in queries(dashboard)
        for metric, _ in names_in(expression).selected
    }
    for name, rule in alerts().items():
        metrics = {metric for metric, _ in names_in(rule["expr"]).selected}
        assert metrics & shown_metrics, name
