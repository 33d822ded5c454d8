"""What a run showed: what was sent, what it cost whom, how long it took."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from benchmarks.errors import BenchmarkError
from benchmarks.load.buckets import Histogram
from benchmarks.load.latencies import Latencies
from benchmarks.load.plan import LoadPlan, LoadResult
from benchmarks.stack.stack import StackUsage
from benchmarks.stack.usage import Usage

_ENOUGH: Final = 0.99
"""Of the pings that should have been; the buyers are asked when the last answers are just out."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of the service, in bytes, ``at_s`` seconds into the run."""

    at_s: float
    resident: int


@dataclass(frozen=True, slots=True)
class Scraped:
    """What the service counts about itself."""

    overhead: Histogram
    batches: Histogram

    def since(self, earlier: "Scraped") -> "Scraped":
        """What was counted after ``earlier``."""
        overhead = self.overhead.since(earlier.overhead)
        return Scraped(overhead, self.batches.since(earlier.batches))


@dataclass(frozen=True, slots=True)
class Measurement:
    """What came of a plan; ``usage`` is of this run alone.

    ``asked`` is how many buyers are asked on a call, ``buyer_ms`` how long they take for it by
    script, a ping and a post. ``heard`` is what they counted. ``others_cpu`` is the share of the
    machine that was busy with anything else. ``traced`` is the overhead of sampled calls: the time
    to the answer less the time that the service waited for buyers.
    """

    plan: LoadPlan
    result: LoadResult
    usage: StackUsage
    generator: Usage
    scraped: Scraped
    heard: dict[str, int]
    asked: int
    buyer_ms: float
    others_cpu: float
    memory: tuple[Memory, ...]
    latency: Latencies
    lateness: Latencies
    event_latency: Latencies
    traced: Latencies

    @property
    def calls_per_s(self) -> float:
        """Calls routed by auction, a second."""
        return self.result.auctioned / self.result.seconds if self.result.seconds else 0.0

    def cpu_us(self, usage: Usage) -> float:
        """CPU time in microseconds per auctioned call."""
        return usage.cpu_s * 1e6 / max(1, self.result.auctioned)

    @property
    def service_cpu_us(self) -> float:
        """The service's own CPU time per auctioned call, in microseconds."""
        return self.cpu_us(self.usage.service)

    def overhead_ms(self, percent: float) -> float:
        """The time to the answer less the buyers' scripted delays; nothing can hide in it."""
        return max(0.0, self.latency.percentile_ms(percent) - self.buyer_ms)

    @property
    def all_auctioned(self) -> bool:
        """Whether every call was answered in time with what an auction brought."""
        return self.result.auctioned == self.result.calls and not self.result.overloaded

    def require_auctions(self) -> None:
        """Raises BenchmarkError unless every call was auctioned among all buyers, and sold."""
        faults = "; ".join(self._faults())
        if faults:
            example = self.result.example
            shown = f"\nfor example {example}" if example else ""
            message = f"calls were not auctioned as expected: {faults}{shown}"
            raise BenchmarkError(message)

    def _faults(self) -> Iterator[str]:
        result, heard = self.result, self.heard
        if not self.all_auctioned:
            counts = ", ".join(f"{name} {count:,}" for name, count in result.outcomes.items())
            yield f"of {result.calls:,} calls {result.auctioned:,} were: {counts}"
        if result.overloaded:
            yield f"the run was broken off with {self.plan.most_unanswered:,} calls in flight"
        if heard["refused"]:
            yield f"buyers refused {heard['refused']:,} requests for their credentials"
        for name, expected in (
            ("pings", result.auctioned * self.asked),
            ("posts", result.auctioned),
        ):
            if heard[name] < expected * _ENOUGH:
                yield f"buyers got {heard[name]:,} {name} instead of {expected:,}"
        failed = {name: count for name, count in result.events.items() if name != "http_200"}
        if failed:
            yield f"events were not taken: {failed}"
