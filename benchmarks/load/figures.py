"""The figures of a load run, by names that do not change: they are compared between runs."""

from collections.abc import Iterator

from benchmarks.load.latencies import SHOWN
from benchmarks.load.measurement import Measurement
from benchmarks.load.memory import MIB, growth_mib_per_minute, peak_mib
from benchmarks.load.parts import Found


def load_figures(found: Found) -> dict[str, float]:
    """Every figure, under ``part.figure``; of the ramp ``ramp.highest_calls_per_s``."""
    figures = {
        f"{part.name}.{name}": round(value, 3)
        for part in found.parts
        for name, value in part_figures(part.measured)
    }
    if found.ramp is not None:
        figures["ramp.highest_calls_per_s"] = round(found.ramp.held or 0.0, 1)
    return figures


def part_figures(measured: Measurement) -> Iterator[tuple[str, float]]:
    """Figures of one part."""
    usage = measured.usage
    yield "calls", float(measured.result.calls)
    yield "calls_per_s", measured.calls_per_s
    yield "service_cpu_us_per_call", measured.service_cpu_us
    yield "service_user_us_per_call", usage.service.user_s * 1e6 / max(1, measured.result.auctioned)
    yield "database_cpu_us_per_call", measured.cpu_us(usage.database)
    yield "buyers_cpu_us_per_call", measured.cpu_us(usage.buyers)
    yield "generator_cpu_us_per_call", measured.cpu_us(measured.generator)
    for percent in SHOWN:
        yield f"decision_p{percent:g}_ms", measured.latency.percentile_ms(percent)
    yield "decision_max_ms", measured.latency.max_ms
    for percent in SHOWN:
        yield f"overhead_p{percent:g}_ms", measured.overhead_ms(percent)
    yield from _own_overhead(measured)
    yield "ledger_batch_mean", measured.scraped.batches.mean
    yield "memory_end_mib", usage.service.resident / MIB
    yield "memory_peak_mib", peak_mib(measured.memory)
    yield "memory_growth_mib_per_min", growth_mib_per_minute(measured.memory)
    if measured.event_latency.count:
        yield "event_p99_ms", measured.event_latency.percentile_ms(99)


def _own_overhead(measured: Measurement) -> Iterator[tuple[str, float]]:
    own = measured.scraped.overhead
    yield "own_overhead_mean_ms", own.mean * 1000
    for percent in (50.0, 99.0):
        yield f"own_overhead_p{percent:g}_ms", own.percentile(percent) * 1000
    if measured.traced.count:
        for percent in (50.0, 99.0):
            yield f"traced_overhead_p{percent:g}_ms", measured.traced.percentile_ms(percent)
