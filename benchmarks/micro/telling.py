"""What the timings tell, as a report and as a file that pyperf compares."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pyperf  # type: ignore[import-untyped]  # it has no types

from benchmarks.errors import BenchmarkError
from benchmarks.micro.timing import Effort, Timing
from benchmarks.report.model import Environment, Plot, PlotKind, Report, Series, Table

_COLUMNS = ("what", "CPU µs", "wall µs", "spread %", "loops")
_NOTES = (
    "Medians over the values, per operation: per call, ping, bid or answer, not per batch.",
    "CPU is this process's alone: buyers and PostgreSQL, in processes of their own, are not in it.",
    "spread: median absolute deviation of CPU, as a share of the median. Above 10 % measure again.",
)


def make_report(
    timings: Mapping[str, Sequence[Timing]],
    effort: Effort,
    environment: Environment,
    seconds: float,
) -> Report:
    """One table and one plot per group; ``seconds`` is how long the run took."""
    return Report(
        command="micro",
        settings={
            "groups": ", ".join(timings),
            "values": effort.values,
            "value_s": effort.value_s,
            "took_s": round(seconds, 1),
        },
        environment=environment,
        figures={f"{each.name}.cpu_us": each.cpu_us for each in _all(timings)},
        tables=tuple(_table(group, found) for group, found in timings.items()),
        plots=tuple(_plot(group, found) for group, found in timings.items()),
        notes=_NOTES,
    )


def write_pyperf(timings: Mapping[str, Sequence[Timing]], file: Path) -> None:
    """CPU times for ``python -m pyperf compare_to``. Raises BenchmarkError when it can't be."""
    benchmarks = [
        pyperf.Benchmark(
            [pyperf.Run(each.cpu_s, metadata={"name": each.name, "loops": each.loops})]
        )
        for each in _all(timings)
    ]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        pyperf.BenchmarkSuite(benchmarks).dump(str(file), replace=True)
    except OSError as error:
        message = f"{file} can't be written: {error.strerror}"
        raise BenchmarkError(message) from error


def _all(timings: Mapping[str, Sequence[Timing]]) -> Iterable[Timing]:
    return (each for found in timings.values() for each in found)


def _table(group: str, found: Iterable[Timing]) -> Table:
    rows = ((t.title, t.cpu_us, t.wall_us, round(t.spread * 100, 1), t.loops) for t in found)
    return Table(group, _COLUMNS, tuple(rows))


def _plot(group: str, found: Sequence[Timing]) -> Plot:
    names = tuple(each.name.removeprefix(f"{group}.") for each in found)
    bars = Series("CPU", names, tuple(each.cpu_us for each in found))
    return Plot(f"CPU of {group}", "", "µs per operation", (bars,), PlotKind.BAR)
