"""One contestant's turn: warmed up, measured, and checked against what the buyers saw."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.load.generator import Generator
from benchmarks.load.latencies import Latencies
from benchmarks.load.plan import LoadPlan, LoadResult
from benchmarks.peers.comparator import Contestant
from benchmarks.stack import Buyers
from benchmarks.stack.buyer_options import steady_bid
from benchmarks.stack.marketplace import asked_offer
from benchmarks.stack.usage import usage_of

WARM_UP_SHARE: Final = 0.25
"""Of a turn's length: connections are opened, and compilers see what is hot."""

PATIENCE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn came to, of right answers only.

    ``wrong`` are answers that name another offer or price than the best, or no answer at all;
    ``not_pinged`` is how many pings the buyer that got fewest fell short of the calls.
    """

    calls: int
    calls_per_s: float
    cpu_us: float
    p50_ms: float
    p99_ms: float
    wrong: int
    not_pinged: int


async def take_turn(
    contestant: Contestant, buyers: Buyers, generator: Generator, callers: int, seconds: float
) -> Turn:
    """Let ``callers`` ask in a closed loop. Raises BenchmarkError when a process dies."""
    winner = len(buyers.ports) - 1
    plan = _planner(contestant, callers, (asked_offer(winner), steady_bid(winner)))
    await generator.play(plan(seconds * WARM_UP_SHARE))
    pinged, used = await buyers.pings_each(), usage_of(contestant.pid)
    result = await generator.play(plan(seconds))
    cpu_s = usage_of(contestant.pid).since(used).cpu_s
    pings = [now - then for now, then in zip(await buyers.pings_each(), pinged, strict=True)]
    return judge_turn(result, cpu_s, pings)


def judge_turn(result: LoadResult, cpu_s: float, pings: Sequence[int]) -> Turn:
    """The figures of a turn; ``pings`` are those that each buyer got during it."""
    right, latencies = result.auctioned, Latencies.decode(result.latency)
    return Turn(
        calls=right,
        calls_per_s=right / result.seconds if result.seconds else 0.0,
        cpu_us=cpu_s * 1e6 / right if right else 0.0,
        p50_ms=latencies.percentile_ms(50.0),
        p99_ms=latencies.percentile_ms(99.0),
        wrong=result.calls - right,
        not_pinged=max(0, result.calls - min(pings)),
    )


def _planner(
    contestant: Contestant, callers: int, winner: tuple[str, str]
) -> Callable[[float], LoadPlan]:
    offer, price = winner

    def plan(seconds: float) -> LoadPlan:
        return LoadPlan(
            port=contestant.port,
            token=contestant.token,
            run=f"{contestant.name}-{secrets.token_hex(4)}",
            duration_s=seconds,
            in_flight=callers,
            patience_s=PATIENCE_S,
            expected=(f'"offer":"{offer}"', f'"price":"{price}"'),
        )

    return plan
