"""A measurement in which everything went as it should."""

from benchmarks.load.buckets import Histogram
from benchmarks.load.latencies import Latencies
from benchmarks.load.measurement import Measurement, Memory, Scraped
from benchmarks.load.plan import LoadPlan, LoadResult, Timeline
from benchmarks.stack.stack import StackUsage
from benchmarks.stack.usage import Usage


def a_measurement(
    *,
    outcomes: dict[str, int] | None = None,
    events: dict[str, int] | None = None,
    heard: dict[str, int] | None = None,
    overloaded: bool = False,
    service_s: float = 0.5,
    late_us: float = 100,
) -> Measurement:
    """1,000 calls in 10 s among 10 buyers, 60 ms each, of which buyers took 40."""
    result = LoadResult(
        outcomes=outcomes or {"auction": 1000},
        events=events or {},
        latency="",
        lateness="",
        event_latency="",
        seconds=10.0,
        peak_in_flight=8,
        example="http_503: try again" if outcomes else None,
        overloaded=overloaded,
        timeline=Timeline((100,) * 10, (60.0,) * 10, (60.0,) * 10),
    )
    return Measurement(
        plan=LoadPlan(1, "t", "r", 10.0, rate=100.0),
        result=result,
        usage=StackUsage(Usage(service_s - 0.1, 0.1, 100 * 2**20), Usage(0.2, 0.1), Usage(0.1)),
        generator=Usage(0.05),
        scraped=Scraped(
            Histogram((0.01, float("inf")), (1000, 1000), 5.0),
            Histogram((1, 2, float("inf")), (500, 1000, 1000), 1500.0),
        ),
        heard=heard or {"pings": 10_000, "posts": 1000, "refused": 0},
        asked=10,
        buyer_ms=40.0,
        others_cpu=0.0,
        memory=(Memory(0, 90 * 2**20), Memory(10, 100 * 2**20)),
        latency=Latencies([60_000.0] * 1000),
        lateness=Latencies([late_us] * 1000),
        event_latency=Latencies([5000.0] * len(events or {})),
        traced=Latencies([15_000.0] * 100),
    )
