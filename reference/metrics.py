"""The metrics, as a process that knows a marketplace exposes them."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import MappingProxyType

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from buyers.terms import build_catalogue
from config.check import check_file
from metrics.registry import Metrics
from reference.markdown import code, page, table

_EXAMPLE = Path(__file__).parents[1] / "tests" / "fixtures" / "marketplace.yaml"
_INTRO = """\
What `/metrics` of the ops port shows; with several workers it is their sum. Values of `offer` and
`campaign` are bounded: those beyond the limit are counted as `other`. What each says in use:
[running the service](../operations.md)."""
_HEADS = ("name", "type", "labels", "values of the label", "help")
_OPEN = frozenset({"offer", "campaign", "currency", "alert", "cap", "le", "quantile"})
"""Labels whose values are not a short list."""
_NOT_OURS = ("python_", "process_")


def metrics_page() -> str:
    """The page, a row for each metric; those of the process and of Python stand apart."""
    families = sorted(_families(), key=lambda family: family.name)
    ours = [each for each in families if not each.name.startswith(_NOT_OURS)]
    others = [each for each in families if each.name.startswith(_NOT_OURS)]
    return page(
        "Reference: metrics",
        "`metrics/`",
        _INTRO,
        table(_HEADS, _rows(ours)),
        "## Of the process",
        table(("name", "type", "help"), map(_about, others)),
    )


def _families() -> Iterable[Metric]:
    """What a process shows that has loaded the example and has an alert of every kind."""
    result = check_file(_EXAMPLE, MappingProxyType({}))
    assert result.marketplace is not None, result.faults
    metrics = Metrics()
    metrics.preload(build_catalogue(result.marketplace, revision=1))
    metrics.show_alerts({"example": 0})
    text = asyncio.run(metrics.exposition()).decode()
    return text_string_to_metric_families(text)


def _rows(families: Iterable[Metric]) -> Iterator[Sequence[str]]:
    for family in families:
        labels = {name for sample in family.samples for name in sample.labels} - {"le", "quantile"}
        closed = sorted(labels - _OPEN)
        values = "; ".join(f"{name}: {_values(family, name)}" for name in closed)
        shown = ", ".join(sorted(labels))
        yield code(_name(family)), family.type, shown, values, family.documentation


def _about(family: Metric) -> Sequence[str]:
    return code(_name(family)), family.type, family.documentation


def _name(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


def _values(family: Metric, label: str) -> str:
    seen = {sample.labels[label] for sample in family.samples if label in sample.labels}
    return ", ".join(sorted(seen))
