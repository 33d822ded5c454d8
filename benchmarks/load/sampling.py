"""A few calls that stand for all, and what happened second by second."""

from collections import defaultdict
from collections.abc import Sequence
from typing import TypeVar

from benchmarks.load.plan import Timeline

_Item = TypeVar("_Item")


class Sample:
    """Keeps between ``size`` and twice as many of all that were offered, evenly spread."""

    def __init__(self, size: int) -> None:
        """With ``size`` 0 nothing is kept."""
        self._size = size
        self._every = 1
        self._offered = 0
        self._kept: list[tuple[str, float]] = []

    def offer(self, call_id: str, latency_ms: float) -> None:
        """Keep this call, if it is its turn."""
        if self._size and self._offered % self._every == 0:
            self._kept.append((call_id, latency_ms))
            if len(self._kept) >= 2 * self._size:
                del self._kept[1::2]
                self._every *= 2
        self._offered += 1

    def kept(self) -> tuple[tuple[str, float], ...]:
        """Those that were kept."""
        return tuple(self._kept)


def make_timeline(done_s: Sequence[float], latency_us: Sequence[float]) -> Timeline:
    """What was answered in each second from 0 to the last, seconds without an answer included."""
    by_second: defaultdict[int, list[float]] = defaultdict(list)
    for done, latency in zip(done_s, latency_us, strict=True):
        by_second[int(done)].append(latency / 1000)
    seconds = [sorted(by_second[second]) for second in range(max(by_second, default=-1) + 1)]
    return Timeline(
        answered=tuple(len(second) for second in seconds),
        p50_ms=tuple(_rank(second, 50) for second in seconds),
        p99_ms=tuple(_rank(second, 99) for second in seconds),
    )


def _rank(ordered: Sequence[float], percent: int) -> float:
    if not ordered:
        return 0.0
    return round(ordered[max(-(-len(ordered) * percent // 100), 1) - 1], 3)
