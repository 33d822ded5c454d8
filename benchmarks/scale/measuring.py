"""Measures the points of a scale run, one stack after the other."""

from dataclasses import dataclass, replace

from rich.console import Console

from benchmarks.errors import BenchmarkError
from benchmarks.load.bench import running_bench
from benchmarks.load.measurement import Measurement
from benchmarks.scale.points import Point, ScaleOptions, scale_points
from benchmarks.stack.stack import StackOptions


@dataclass(frozen=True, slots=True)
class Measured:
    """A point with what came of it: a measurement, or the fault that kept it from being made."""

    point: Point
    measurement: Measurement | None
    fault: str | None = None


async def measure_points(
    options: ScaleOptions, base: StackOptions, notes: Console
) -> tuple[Measured, ...]:
    """Measure every point; one that fails does not keep the others from being measured."""
    points = scale_points(options, base)
    measured = []
    for number, point in enumerate(points, 1):
        notes.print(f"{number}/{len(points)}: {point.title}", markup=False)
        measured.append(await _measure(point, options, notes))
    return tuple(measured)


async def _measure(point: Point, options: ScaleOptions, notes: Console) -> Measured:
    try:
        measurement = await _measurement(point, options, notes)
    except BenchmarkError as error:
        notes.print(f"  failed: {error}", markup=False)
        return Measured(point, None, str(error))
    rate, cpu_us = measurement.calls_per_s, measurement.service_cpu_us
    notes.print(f"  {rate:,.0f} calls/s, {cpu_us:,.0f} µs of the service per call")
    return Measured(point, measurement)


async def _measurement(point: Point, options: ScaleOptions, notes: Console) -> Measurement:
    async with running_bench(point.stack, notes) as bench:
        warm_up = bench.plan("warm-up", options.warmup_s)
        await bench.warm_up(replace(warm_up, in_flight=point.in_flight))
        plan = bench.plan("scale", options.duration_s)
        measurement = await bench.measure(replace(plan, in_flight=point.in_flight), "Measuring")
    measurement.require_auctions()
    return measurement
