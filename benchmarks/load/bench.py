"""Plays plans against a running stack and measures what they cost."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import httpx
from rich.console import Console

from benchmarks.errors import BenchmarkError
from benchmarks.load.buckets import read_histogram
from benchmarks.load.generator import Generator, running_generator
from benchmarks.load.latencies import Latencies
from benchmarks.load.machine import MachineWatch
from benchmarks.load.measurement import Measurement, Memory, Scraped
from benchmarks.load.plan import LoadPlan
from benchmarks.progress import progress_bar, waiting
from benchmarks.stack.stack import Stack, StackOptions, running_stack

MEMORY_POINTS: Final = 300
"""About how many readings of memory a long run has."""

_ANSWER_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Bench:
    """A stack, a load generator, and where progress is shown."""

    stack: Stack
    generator: Generator
    notes: Console

    def plan(self, run: str, duration_s: float) -> LoadPlan:
        """A plan against the service; how fast is still to be said."""
        service = self.stack.service
        others = tuple(other.port for other in self.stack.others)
        return LoadPlan(service.port, service.token, run, duration_s, other_ports=others)

    async def warm_up(self, plan: LoadPlan, title: str = "Warming up") -> None:
        """Play a plan for what it does to the service. Raises as ``measure`` does."""
        with progress_bar(self.notes, title, plan.duration_s) as bar:
            await self.generator.play(plan, bar)
        self.stack.check()

    async def measure(self, plan: LoadPlan, title: str) -> Measurement:
        """Play a plan and measure it. Raises BenchmarkError when a process dies."""
        buyers = self.stack.buyers
        scraped, heard = await self._scrape(), await buyers.counts()
        watch = _MemoryWatch(self.stack, plan.duration_s)
        machine = MachineWatch()
        before, generator = self.stack.usage(), self.generator.usage()
        with progress_bar(self.notes, title, plan.duration_s) as bar:

            def progress(at_s: float) -> None:
                bar(at_s)
                self.stack.check()
                watch.look(at_s)

            result = await self.generator.play(plan, progress)
        after = self.stack.usage()
        used, generator_used = after.since(before), self.generator.usage().since(generator)
        machine.stop()
        self.stack.check()
        now_heard = await buyers.counts()
        return Measurement(
            plan=plan,
            result=result,
            usage=used,
            generator=generator_used,
            scraped=(await self._scrape()).since(scraped),
            heard={name: count - heard[name] for name, count in now_heard.items()},
            asked=len(buyers.ports),
            buyer_ms=2 * buyers.delay_ms,
            others_cpu=machine.others(used, generator_used),
            memory=(*watch.readings, Memory(result.seconds, after.service.resident)),
            latency=Latencies.decode(result.latency),
            lateness=Latencies.decode(result.lateness),
            event_latency=Latencies.decode(result.event_latency),
            traced=await self._traced(result.sampled),
        )

    async def _scrape(self) -> Scraped:
        async with self._client() as client:
            text = (await client.get(f"{self.stack.service.ops_url}/metrics")).text
        names = ("pingpost_overhead_seconds", "pingpost_ledger_batch_size")
        return Scraped(*(read_histogram(text, name) for name in names))

    async def _traced(self, sampled: Sequence[tuple[str, float]]) -> Latencies:
        overhead = Latencies()
        async with self._client() as client:
            for call_id, latency_ms in sampled:
                url = f"{self.stack.service.url}/v1/calls/{quote(call_id, safe='')}"
                response = await client.get(url)
                if response.status_code != httpx.codes.OK:
                    message = f"the record of call {call_id} can't be read: {response.text}"
                    raise BenchmarkError(message)
                trace = response.json()["trace"]
                waited_ms = trace["ping_ms"] + trace["post_ms"]
                overhead.record(max(0.0, latency_ms - waited_ms) * 1000)
        return overhead

    def _client(self) -> httpx.AsyncClient:
        authorised = {"Authorization": f"Bearer {self.stack.service.token}"}
        return httpx.AsyncClient(headers=authorised, timeout=_ANSWER_S, trust_env=False)


class _MemoryWatch:
    """Reads the service's memory now and then: reading it too costs CPU time."""

    def __init__(self, stack: Stack, duration_s: float) -> None:
        self.readings: list[Memory] = []
        self._stack = stack
        self._every_s = duration_s / MEMORY_POINTS
        self._next_s = 0.0

    def look(self, at_s: float) -> None:
        if at_s >= self._next_s:
            self._next_s = at_s + self._every_s
            self.readings.append(Memory(at_s, self._stack.resident()))


@asynccontextmanager
async def running_bench(options: StackOptions, notes: Console) -> AsyncIterator[Bench]:
    """A stack and a generator, ready. Raises BenchmarkError when one can't be started."""
    async with (
        running_stack(options, lambda title: waiting(notes, title)) as stack,
        running_generator(stack.folder) as generator,
    ):
        yield Bench(stack, generator, notes)
