"""The plots of a load run."""

from collections.abc import Iterator, Sequence

from benchmarks.load.latencies import PLOTTED
from benchmarks.load.memory import MIB
from benchmarks.load.parts import Found, Part, Ramp
from benchmarks.report import Plot, PlotKind, Series


def load_plots(found: Found) -> Iterator[Plot]:
    """All that there is something to draw in."""
    parts = found.parts
    if parts:
        yield _percentile_plot(parts)
        yield _throughput_plot(parts)
        yield _second_by_second(parts)
        yield _cpu_plot(parts)
        yield _memory_plot(parts)
    if found.ramp is not None and found.ramp.steps:
        yield _ramp_plot(found.ramp)


def _percentile_plot(parts: tuple[Part, ...]) -> Plot:
    slower = tuple(round(100 / (100 - percent), 3) for percent in PLOTTED)
    series = tuple(
        Series(
            part.title,
            slower,
            tuple(part.measured.latency.percentile_ms(percent) for percent in PLOTTED),
        )
        for part in parts
    )
    title, x_label = "Decision time", "one call in … is slower (2: p50, 100: p99, 1000: p99.9)"
    return Plot(title, x_label, "ms", series, log_x=True, log_y=True)


def _throughput_plot(parts: tuple[Part, ...]) -> Plot:
    series = tuple(_by_second(part, part.measured.result.timeline.answered) for part in parts)
    return Plot("Throughput", "second of the run", "calls answered", series)


def _second_by_second(parts: tuple[Part, ...]) -> Plot:
    series = tuple(_by_second(part, part.measured.result.timeline.p99_ms) for part in parts)
    return Plot("Decision time, p99 of each second", "second of the run", "ms", series)


def _by_second(part: Part, values: Sequence[float]) -> Series:
    """Without what was answered after the run's time: no whole second."""
    whole = values[: max(1, int(part.measured.plan.duration_s))]
    return Series(part.title, tuple(map(float, range(len(whole)))), tuple(map(float, whole)))


def _cpu_plot(parts: tuple[Part, ...]) -> Plot:
    titles = tuple(part.title for part in parts)
    series = (
        Series("service", titles, tuple(part.measured.service_cpu_us for part in parts)),
        Series("PostgreSQL", titles, tuple(_cpu(part, "database") for part in parts)),
        Series("buyers", titles, tuple(_cpu(part, "buyers") for part in parts)),
        Series(
            "load generator",
            titles,
            tuple(part.measured.cpu_us(part.measured.generator) for part in parts),
        ),
    )
    return Plot("CPU time per call", "", "µs", series, PlotKind.BAR)


def _cpu(part: Part, whose: str) -> float:
    return part.measured.cpu_us(getattr(part.measured.usage, whose))


def _memory_plot(parts: tuple[Part, ...]) -> Plot:
    series = tuple(
        Series(
            part.title,
            tuple(reading.at_s for reading in part.measured.memory),
            tuple(reading.resident / MIB for reading in part.measured.memory),
        )
        for part in parts
    )
    return Plot("Resident memory of the service", "seconds into the run", "MiB", series)


def _ramp_plot(ramp: Ramp) -> Plot:
    steps = sorted(ramp.steps, key=lambda step: step.rate)
    rates = tuple(step.rate for step in steps)
    series = tuple(
        Series(f"p{percent}", rates, tuple(step.measured.overhead_ms(percent) for step in steps))
        for percent in (50, 99)
    )
    return Plot("Overhead by rate", "calls a second", "ms", series)
