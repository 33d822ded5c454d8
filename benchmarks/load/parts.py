"""The parts of a load run, played one after the other against one stack."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from benchmarks.errors import BenchmarkError
from benchmarks.load.bench import Bench
from benchmarks.load.measurement import Measurement
from benchmarks.load.options import LoadOptions
from benchmarks.load.plan import LoadPlan
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
class Failed:
    """A part without figures, because its calls were not auctioned as they should have been."""

    title: str
    fault: str


@dataclass(frozen=True, slots=True)
class Found:
    """All that a load run has measured."""

    parts: tuple[Part, ...]
    ramp: Ramp | None
    failed: tuple[Failed, ...] = ()


async def play_load(bench: Bench, options: LoadOptions) -> Found:
    """Warm up and play every part. Raises BenchmarkError when a process dies."""
    await _warm_up(bench, options)
    parts: list[Part] = []
    failed: list[Failed] = []
    for part in (*_closed_parts(bench, options), *_open_parts(bench, options)):
        played = await _play_part(bench, options, *part)
        if isinstance(played, Part):
            parts.append(played)
        else:
            failed.append(played)
            await _settle(bench, played.title)
    ramp = await _ramp(bench, options) if options.ramp else None
    return Found(tuple(parts), ramp, tuple(failed))


async def _warm_up(bench: Bench, options: LoadOptions) -> None:
    in_flight = max((*options.in_flight, 16))
    plan = bench.plan("warm-up", options.warmup_s)
    await bench.warm_up(replace(plan, in_flight=in_flight))


def _closed_parts(bench: Bench, options: LoadOptions) -> Iterator[tuple[LoadPlan, str]]:
    for count in options.in_flight:
        plan = bench.plan(f"in_flight_{count}", options.duration_s)
        yield replace(plan, in_flight=count), f"{count} in flight"


def _open_parts(bench: Bench, options: LoadOptions) -> Iterator[tuple[LoadPlan, str]]:
    for rate in options.rates:
        plan = bench.plan(f"rate_{rate:g}", options.duration_s)
        yield replace(plan, rate=rate), f"{rate:g} calls/s"


async def _play_part(
    bench: Bench, options: LoadOptions, plan: LoadPlan, title: str
) -> Part | Failed:
    plan = replace(plan, events=options.events, sample=options.sample)
    measured = await bench.measure(plan, title)
    try:
        measured.require_auctions()
    except BenchmarkError as error:
        bench.notes.print(f"  failed: {error}", markup=False)
        return Failed(title, str(error))
    return Part(plan.run, title, measured)


async def _settle(bench: Bench, after: str) -> None:
    """Let a service that was overloaded come back to rest."""
    plan = bench.plan(f"settle after {after}", SETTLE_S)
    await bench.warm_up(replace(plan, in_flight=_SETTLE_IN_FLIGHT), "Settling")


async def _ramp(bench: Bench, options: LoadOptions) -> Ramp:
    search = RateSearch(options.ramp_from)
    steps: list[Step] = []
    while (rate := search.next_rate()) is not None:
        step = await _step(bench, options, round(rate, 1), len(steps))
        steps.append(step)
        search.record(rate, holds=step.holds)
        if not step.holds:
            await _settle(bench, f"step {len(steps)}")
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
