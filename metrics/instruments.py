"""Counters, gauges, summaries and histograms that write straight into cells, without a lock.

Cells may be memory that other processes read. One thread counts, that of the event loop.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Generic, Protocol, TypeVar

from prometheus_client import Metric
from prometheus_client.utils import floatToGoString

from metrics.cells import Cells, CellStore, Kind, zeros

Part = tuple[str, dict[str, str], float]
"""What is added to the metric's name, the labels beside its own, and the value."""


class Instrument(Protocol):
    """One series, kept in ``size`` cells that follow each other."""

    @property
    def size(self) -> int:
        """How many cells it takes."""

    def keep_in(self, cells: Cells, at: int) -> None:
        """Count there from now on."""

    def parts(self) -> Iterator[Part]:
        """What a scrape shows of it."""


class _Single:
    """One number."""

    __slots__ = ("_at", "_cells")

    size = 1

    def keep_in(self, cells: Cells, at: int) -> None:
        self._cells = cells
        self._at = at


class Counter(_Single):
    """Only rises."""

    __slots__ = ()

    def inc(self, amount: float = 1.0) -> None:
        """Count ``amount`` more; it is not negative."""
        self._cells[self._at] += amount

    def rise_to(self, total: float) -> None:
        """Take over a total that is counted elsewhere; a smaller one changes nothing."""
        self._cells[self._at] = max(self._cells[self._at], total)

    def parts(self) -> Iterator[Part]:
        """See ``Instrument``."""
        yield "_total", {}, self._cells[self._at]


class Gauge(_Single):
    """Shows the value that was set last."""

    __slots__ = ()

    def set(self, value: float) -> None:
        """The value from now on."""
        self._cells[self._at] = value

    def parts(self) -> Iterator[Part]:
        """See ``Instrument``."""
        yield "", {}, self._cells[self._at]


class Summary:
    """How many values there were, and their sum."""

    __slots__ = ("_at", "_cells")

    size = 2

    def keep_in(self, cells: Cells, at: int) -> None:
        """See ``Instrument``."""
        self._cells = cells
        self._at = at

    def observe(self, value: float) -> None:
        """One value more."""
        cells, at = self._cells, self._at
        cells[at] += 1.0
        cells[at + 1] += value

    def parts(self) -> Iterator[Part]:
        """See ``Instrument``."""
        yield "_count", {}, self._cells[self._at]
        yield "_sum", {}, self._cells[self._at + 1]


class Histogram:
    """How many values were at most each of ``bounds`` (rising, the last followed by infinity)."""

    __slots__ = ("_at", "_bounds", "_cells", "_sum_at", "size")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.size = len(bounds) + 2

    def keep_in(self, cells: Cells, at: int) -> None:
        """See ``Instrument``."""
        self._cells = cells
        self._at = at
        self._sum_at = at + self.size - 1

    def observe(self, value: float) -> None:
        """One value more."""
        cells = self._cells
        cells[self._at + bisect_left(self._bounds, value)] += 1.0
        cells[self._sum_at] += value

    def parts(self) -> Iterator[Part]:
        """See ``Instrument``; each bucket holds those below it."""
        counts = [self._cells[self._at + each] for each in range(self.size - 1)]
        bounds = (*map(floatToGoString, self._bounds), "+Inf")
        totals = list(accumulate(counts))
        for bound, total in zip(bounds, totals, strict=True):
            yield "_bucket", {"le": bound}, total
        yield "_count", {}, totals[-1]
        yield "_sum", {}, self._cells[self._sum_at]


_I = TypeVar("_I", bound=Instrument)


class Family(Generic[_I]):
    """One metric and those of its series that come and go together."""

    __slots__ = ("_kind", "_labels", "_make", "_name", "_series", "_text")

    def __init__(
        self, make: Callable[[], _I], kind: str, name: str, text: str, labels: tuple[str, ...]
    ) -> None:
        self._make = make
        self._kind = kind
        self._name = name
        self._text = text
        self._labels = labels
        self._series: list[tuple[tuple[str, ...], _I]] = []

    def labels(self, *values: str) -> _I:
        """A new series with these label values; it can count once it is kept somewhere."""
        if len(values) != len(self._labels):
            message = f"{self._name} has the labels {self._labels}"
            raise ValueError(message)
        instrument = self._make()
        self._series.append((values, instrument))
        return instrument

    @property
    def instruments(self) -> list[_I]:
        """Its series, in the order in which they were made."""
        return [instrument for _, instrument in self._series]

    def collect(self) -> Iterable[Metric]:
        """The metric with the values of now."""
        metric = Metric(self._name, self._text, self._kind)
        for values, instrument in self._series:
            labels = dict(zip(self._labels, values, strict=True))
            for suffix, more, value in instrument.parts():
                metric.add_sample(self._name + suffix, labels | more, value)
        yield metric


AnyFamily = Family[Counter] | Family[Gauge] | Family[Summary] | Family[Histogram]


def counters(name: str, text: str, *labels: str) -> Family[Counter]:
    """A metric that is counted; ``name`` is without ``_total``."""
    return Family(Counter, "counter", name, text, labels)


def gauges(name: str, text: str, *labels: str) -> Family[Gauge]:
    """A metric that goes up and down."""
    return Family(Gauge, "gauge", name, text, labels)


def summaries(name: str, text: str, *labels: str) -> Family[Summary]:
    """A metric of values of which only number and sum are kept."""
    return Family(Summary, "summary", name, text, labels)


def histograms(name: str, text: str, bounds: tuple[float, ...], *labels: str) -> Family[Histogram]:
    """A metric of values of which the distribution is kept."""
    return Family(lambda: Histogram(bounds), "histogram", name, text, labels)


def keep(store: CellStore, kind: Kind, label: str, *families: AnyFamily) -> None:
    """Give all series of the families one block of the store."""
    instruments = _instruments(families)
    _place(instruments, store.block(kind, label, _size(instruments)))


def keep_apart(*families: AnyFamily) -> None:
    """Give the families cells that no other process sees."""
    instruments = _instruments(families)
    _place(instruments, zeros(_size(instruments)))


def _instruments(families: tuple[AnyFamily, ...]) -> list[Instrument]:
    return [instrument for family in families for instrument in family.instruments]


def _size(instruments: list[Instrument]) -> int:
    return sum(instrument.size for instrument in instruments)


def _place(instruments: list[Instrument], cells: Cells) -> None:
    at = 0
    for instrument in instruments:
        instrument.keep_in(cells, at)
        at += instrument.size
