"""The metrics, as a process that knows a marketplace exposes them."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import MappingProxyType

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from config.check import check_file
from config.routing import catalogue_of
from metrics.registry import Metrics
from reference.markdown import code, page, table

_EXAMPLE = Path(__file__).parents[1] / "tests" / "fixtures" / "marketplace.yaml"
_INTRO = """\
What `/metrics` of the ops port shows; with several workers it is their sum. Values of `offer` and `campaign` are bounded: those
beyond the limit are counted as `other`. What each says in use: [running the service](../operations.md)."""
_HEADS = ("name", "type", "labels", "values of the label", "help")
_OPEN = frozenset({"offer", "campaign", "currency", "alert", "cap", "le", "quantile"})
"""Labels whose values are not a short list."""
_NOT_OURS = ("python_", "process_")
