"""An honest stopwatch: calibrated loops, warmed up, many values, their median and spread.

CPU time is this process's own, so that neighbours on the machine disturb it little; wall time says
what a caller waits for.
"""

import gc
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import repeat
from statistics import median
from typing import Final

MOST_LOOPS: Final = 2**30


@dataclass(slots=True)
class Stopwatch:
    """Adds up what passes inside ``running``; what a measurement has to prepare stays outside."""

    cpu_s: float = 0.0
    wall_s: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the time of the body."""
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self.cpu_s += time.process_time() - cpu
            self.wall_s += time.perf_counter() - wall


Measure = Callable[[int, Stopwatch], Awaitable[None]]
"""Does its work so many times, with the stopwatch running."""


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to measure. ``per_loop``: how many operations one loop does."""

    name: str
    title: str
    measure: Measure
    per_loop: int = 1


def sync_case(name: str, title: str, function: Callable[[], object]) -> Case:
    """A case of a plain function."""

    async def measure(loops: int, stopwatch: Stopwatch) -> None:
        with stopwatch.running():
            for _ in repeat(None, loops):
                function()

    return Case(name, title, measure)


@dataclass(frozen=True, slots=True)
class Effort:
    """How thoroughly: ``values`` of at least ``value_s`` each, after one that is thrown away."""

    values: int = 11
    value_s: float = 0.05


QUICK: Final = Effort(values=3, value_s=0.01)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds per operation, one entry per value."""

    name: str
    title: str
    loops: int
    per_loop: int
    cpu_s: tuple[float, ...] = field(repr=False)
    wall_s: tuple[float, ...] = field(repr=False)

    @property
    def cpu_us(self) -> float:
        """The median of CPU time, in microseconds."""
        return median(self.cpu_s) * 1e6

    @property
    def wall_us(self) -> float:
        """The median of wall time, in microseconds."""
        return median(self.wall_s) * 1e6

    @property
    def spread(self) -> float:
        """Median absolute deviation of CPU time, as a share of the median."""
        middle = median(self.cpu_s)
        return median(abs(each - middle) for each in self.cpu_s) / middle if middle else 0.0


async def time_case(case: Case, effort: Effort) -> Timing:
    """Find how many loops a value needs, then take the values."""
    loops = await _calibrate(case, effort.value_s)
    cpu: list[float] = []
    wall: list[float] = []
    for _ in range(effort.values):
        watch = await _one_value(case, loops)
        cpu.append(watch.cpu_s / (loops * case.per_loop))
        wall.append(watch.wall_s / (loops * case.per_loop))
    return Timing(case.name, case.title, loops, case.per_loop, tuple(cpu), tuple(wall))


async def _calibrate(case: Case, value_s: float) -> int:
    loops = 1
    while loops < MOST_LOOPS:
        watch = await _one_value(case, loops)
        if watch.wall_s >= value_s:
            break
        # Never by more than ten at once: the first loops are cold and tell too much.
        wanted = loops * value_s / watch.wall_s * 1.2 if watch.wall_s else loops * 10
        loops = max(loops + 1, min(loops * 10, round(wanted)))
    return loops


async def _one_value(case: Case, loops: int) -> Stopwatch:
    # Garbage of what was prepared is not this value's; its own stays in.
    gc.collect()
    watch = Stopwatch()
    await case.measure(loops, watch)
    return watch
