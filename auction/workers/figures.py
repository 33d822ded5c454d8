"""CPU, memory and files of a parent and its workers as one process would show them."""

from collections.abc import Callable, Iterable
from typing import Protocol

from prometheus_client import Metric, ProcessCollector
from prometheus_client.registry import Collector

_CPU = "process_cpu_seconds"
_SUMMED = frozenset(
    {
        _CPU,
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
        "process_open_fds",
    }
)


class Process(Protocol):
    """One worker's process."""

    @property
    def pid(self) -> int:
        """Its process id."""

    @property
    def used_cpu_s(self) -> float | None:
        """The CPU time that it has used in all, None while it lives."""


class ProcessFigures(Collector):
    """Sums over all that live, with the CPU time of those that are gone; else the parent's."""

    def __init__(self, living: Callable[[], Iterable[Process]]) -> None:
        self._living = living
        self._gone_cpu_s = 0.0

    def ended(self, process: Process) -> None:
        """A process is not among the living any more."""
        self._gone_cpu_s += process.used_cpu_s or 0.0

    def collect(self) -> Iterable[Metric]:
        """See ``prometheus_client``."""
        shown = {metric.name: metric for metric in _figures_of("self")}
        for process in self._living():
            if process.used_cpu_s is None:
                for metric in _figures_of(process.pid):
                    _add(shown, metric.name, metric.samples[0].value)
            else:
                _add(shown, _CPU, process.used_cpu_s)
        _add(shown, _CPU, self._gone_cpu_s)
        return shown.values()


def _figures_of(pid: int | str) -> Iterable[Metric]:
    return ProcessCollector(pid=lambda: pid, registry=None).collect()


def _add(shown: dict[str, Metric], name: str, value: float) -> None:
    if name in _SUMMED and name in shown:
        (sample,) = shown[name].samples
        shown[name].samples = [sample._replace(value=sample.value + value)]
