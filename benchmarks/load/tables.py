"""The tables of a load run."""

from collections.abc import Iterator

from benchmarks.load.latencies import SHOWN
from benchmarks.load.measurement import Measurement
from benchmarks.load.memory import MIB, growth_mib_per_minute, peak_mib
from benchmarks.load.parts import Found, Part, Ramp
from benchmarks.report import Cell, Table

_NAMES = tuple(f"p{percent:g}" for percent in SHOWN)


def load_tables(found: Found) -> Iterator[Table]:
    """All that there is something to say in."""
    parts = found.parts
    if parts:
        yield _cost_table(parts)
        yield _decision_table(parts)
        yield _overhead_table(parts)
        yield _batch_table(parts)
        yield _memory_table(parts)
    if any(part.measured.event_latency.count for part in parts):
        yield _event_table(parts)
    if found.ramp is not None:
        yield _ramp_table(found.ramp)


def _cost_table(parts: tuple[Part, ...]) -> Table:
    columns = ("", "calls", "calls/s", "service µs", "user", "system")
    others = ("PostgreSQL µs", "buyers µs", "generator µs")
    rows = tuple(_cost_row(part.title, part.measured) for part in parts)
    return Table("Throughput, and CPU time per call", columns + others, rows)


def _cost_row(title: str, measured: Measurement) -> tuple[Cell, ...]:
    usage, calls = measured.usage, max(1, measured.result.auctioned)
    return (
        title,
        measured.result.calls,
        measured.calls_per_s,
        measured.service_cpu_us,
        usage.service.user_s * 1e6 / calls,
        usage.service.system_s * 1e6 / calls,
        measured.cpu_us(usage.database),
        measured.cpu_us(usage.buyers),
        measured.cpu_us(measured.generator),
    )


def _decision_table(parts: tuple[Part, ...]) -> Table:
    columns = ("ms", *_NAMES, "max", "generator late p99")
    rows = (_decision_row(part.title, part.measured) for part in parts)
    return Table("Decision time, from each call's intended start", columns, tuple(rows))


def _decision_row(title: str, measured: Measurement) -> tuple[Cell, ...]:
    latency = measured.latency
    times = (latency.percentile_ms(percent) for percent in SHOWN)
    return (title, *times, latency.max_ms, measured.lateness.percentile_ms(99))


def _overhead_table(parts: tuple[Part, ...]) -> Table:
    columns = ("ms", *_NAMES, "traced p50", "traced p99", "own mean", "own p50", "own p99")
    rows = (_overhead_row(part.title, part.measured) for part in parts)
    return Table("Overhead: decision time less the buyers' time", columns, tuple(rows))


def _overhead_row(title: str, measured: Measurement) -> tuple[Cell, ...]:
    traced, own = measured.traced, measured.scraped.overhead
    return (
        title,
        *(measured.overhead_ms(percent) for percent in SHOWN),
        *(traced.percentile_ms(percent) if traced.count else None for percent in (50, 99)),
        own.mean * 1000,
        *(own.percentile(percent) * 1000 for percent in (50, 99)),
    )


def _batch_table(parts: tuple[Part, ...]) -> Table:
    shares = [part.measured.scraped.batches.shares() for part in parts]
    sizes = sorted({size for each in shares for size in each}, key=_first_number)
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            part.title,
            part.measured.scraped.batches.mean,
            *(round(100 * each.get(size, 0.0), 1) for size in sizes),
        )
        for part, each in zip(parts, shares, strict=True)
    )
    return Table("Ledger batches: % of them by size", ("", "mean size", *sizes), rows)


def _first_number(size: str) -> int:
    return int("".join(character if character.isdigit() else " " for character in size).split()[0])


def _memory_table(parts: tuple[Part, ...]) -> Table:
    columns = ("MiB", "at the end", "peak", "growth per minute")
    rows = tuple(
        (
            part.title,
            part.measured.usage.service.resident / MIB,
            peak_mib(part.measured.memory),
            growth_mib_per_minute(part.measured.memory),
        )
        for part in parts
    )
    return Table("Resident memory of the service", columns, rows)


def _event_table(parts: tuple[Part, ...]) -> Table:
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            part.title,
            sum(part.measured.result.events.values()),
            *(part.measured.event_latency.percentile_ms(percent) for percent in SHOWN),
        )
        for part in parts
    )
    return Table("Events: their number, and ms to their answer", ("", "events", *_NAMES), rows)


def _ramp_table(ramp: Ramp) -> Table:
    columns = ("calls/s wanted", "auctioned/s", "overhead p50 ms", "p99 ms", "service µs", "")
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            step.rate,
            step.measured.calls_per_s,
            step.measured.overhead_ms(50),
            step.measured.overhead_ms(99),
            step.measured.service_cpu_us,
            "holds" if step.holds else "does not hold",
        )
        for step in sorted(ramp.steps, key=lambda step: step.rate)
    )
    return Table("Ramp: the rates that were tried", columns, rows)
