"""Prometheus histograms, as two scrapes of ``/metrics`` tell them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_LINE: Final = re.compile(
    r"(?P<name>\w+?)_(?P<part>bucket|sum|count)(?:\{(?P<labels>.*)\})? (?P<value>\S+)"
)
_UPPER: Final = re.compile(r'le="([^"]+)"')


@dataclass(frozen=True, slots=True)
class Histogram:
    """Cumulative counts by upper bound, in rising order, the last of them infinite."""

    upper: tuple[float, ...] = ()
    counts: tuple[float, ...] = ()
    total: float = 0.0

    @property
    def count(self) -> float:
        """How many were observed."""
        return self.counts[-1] if self.counts else 0.0

    @property
    def mean(self) -> float:
        """The exact mean; 0 of nothing."""
        return self.total / self.count if self.count else 0.0

    def since(self, earlier: "Histogram") -> "Histogram":
        """What was observed after ``earlier``, which may be empty."""
        if not earlier.counts:
            return self
        counts = zip(self.counts, earlier.counts, strict=True)
        return Histogram(
            self.upper, tuple(now - then for now, then in counts), self.total - earlier.total
        )

    def percentile(self, percent: float) -> float:
        """Interpolated within its bucket, so only as fine as the buckets; 0 of nothing.

        What is in the last bucket counts as the bound below it.
        """
        wanted = self.count * percent / 100
        lower = below = 0.0
        for upper, count in zip(self.upper, self.counts, strict=True):
            if count >= wanted and count > below:
                if upper == float("inf"):
                    return lower
                return lower + (upper - lower) * (wanted - below) / (count - below)
            lower, below = upper, count
        return 0.0

    def shares(self) -> Mapping[str, float]:
        """The share of each bucket that has something in it, by its bounds."""
        shares: dict[str, float] = {}
        lower, below = 0.0, 0.0
        for upper, count in zip(self.upper, self.counts, strict=True):
            if count > below:
                shares[_bounds(lower, upper)] = (count - below) / self.count
            lower, below = upper, count
        return shares


def read_histogram(text: str, name: str) -> Histogram:
    """The histogram ``name``, which has no labels; empty when the text has none of it."""
    buckets: dict[float, float] = {}
    total = 0.0
    for line in text.splitlines():
        match = _LINE.fullmatch(line) if line.startswith(name) else None
        if match is None or match["name"] != name:
            continue
        if match["part"] == "sum":
            total += float(match["value"])
        elif match["part"] == "bucket" and (upper := _UPPER.search(match["labels"] or "")):
            bound = float(upper[1])
            buckets[bound] = buckets.get(bound, 0.0) + float(match["value"])
    ordered = sorted(buckets)
    return Histogram(tuple(ordered), tuple(buckets[bound] for bound in ordered), total)


def _bounds(lower: float, upper: float) -> str:
    if upper == float("inf"):
        return f"more than {lower:g}"
    return f"{upper:g}" if upper - lower <= 1 else f"{lower + 1:g} to {upper:g}"
