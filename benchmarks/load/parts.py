"""The parts of a load run, played one after the other against one stack."""

from dataclasses import dataclass, replace
from typing import Final

from benchmarks.load.bench import Bench
from benchmarks.load.measurement import Measurement
from benchmarks.load.options import LoadOptions
from benchmarks.load.search import RateSearch

SETTLE_S: Final = 1.0
"""How long a service that was overloaded gets before the next try."""

_SETTLE_IN_FLIGHT: Final = 2
_MOST_UNANSWERED: Final = 3000


@dataclass(frozen=True, slots=True)
class Part:
    """One measured run; ``name`` is for figures, ``title`` for people."""

    name: str
    title: str
    measured: Measurement


@dataclass(frozen=True, slots=True)
class Step:
    """One rate of the ramp, and whether it held."""

    rate: float
    measured: Measurement
    holds: bool


@dataclass(frozen=True, slots=True)
class Ramp:
    """All steps as they were tried, and the highest rate that held, None when none did."""

    steps: tuple[Step, ...]
    held: float | None


@dataclass(frozen=True, slots=True)
class Found:
    """All that a load run has measured."""

    parts: tuple[Part, ...]
    ramp: Ramp | None


async def play_load(bench: Bench, options: LoadOptions) -> Found:
    """Warm up and play every part. Raises BenchmarkError when calls are not auctioned."""
    await _warm_up(bench, options)
    parts = [await _closed(bench, options, count) for count in options.in_flight]
    parts += [await _open(bench, options, rate) for rate in options.rates]
    return Found(tuple(parts), await _ramp(bench, options) if options.ramp else None)


async def _warm_up(bench: Bench, options: LoadOptions) -> None:
    in_flight = max((*options.in_flight, 16))
    plan = bench.plan("warm-up", options.warmup_s)
    await bench.warm_up(replace(plan, in_flight=in_flight))


async def _closed(bench: Bench, options: LoadOptions, count: int) -> Part:
    name, title = f"in_flight_{count}", f"{count} in flight"
    plan = bench.plan(name, options.duration_s)
    plan = replace(plan, in_flight=count, events=options.events, sample=options.sample)
    measured = await bench.measure(plan, title)
    measured.require_auctions()
    return Part(name, title, measured)


async def _open(bench: Bench, options: LoadOptions, rate: float) -> Part:
    name, title = f"rate_{rate:g}", f"{rate:g} calls/s"
    plan = bench.plan(name, options.duration_s)
    plan = replace(plan, rate=rate, events=options.events, sample=options.sample)
    measured = await bench.measure(plan, title)
    measured.require_auctions()
    return Part(name, title, measured)


async def _ramp(bench: Bench, options: LoadOptions) -> Ramp:
    search = RateSearch(options.ramp_from)
    steps: list[Step] = []
    while (rate := search.next_rate()) is not None:
        step = await _step(bench, options, round(rate, 1), len(steps))
        steps.append(step)
        search.record(rate, holds=step.holds)
        if not step.holds:
            plan = bench.plan(f"settle-{len(steps)}", SETTLE_S)
            await bench.warm_up(replace(plan, in_flight=_SETTLE_IN_FLIGHT), "Settling")
    return Ramp(tuple(steps), search.held)


async def _step(bench: Bench, options: LoadOptions, rate: float, number: int) -> Step:
    plan = bench.plan(f"ramp-{number}", options.step_s)
    plan = replace(plan, rate=rate, events=options.events, most_unanswered=_MOST_UNANSWERED)
    measured = await bench.measure(plan, f"Ramp: {rate:g} calls/s")
    overhead_ms = measured.overhead_ms(99)
    holds = measured.all_auctioned and overhead_ms < options.limit_ms
    verdict = "holds" if holds else "does not hold"
    bench.notes.print(f"  {rate:g} calls/s: p99 overhead {overhead_ms:.1f} ms, {verdict}")
    return Step(rate, measured, holds)
