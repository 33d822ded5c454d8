"""What was counted in the last seconds, in a few buckets: old ones fall out as a whole."""

from collections import deque
from collections.abc import Sequence
from typing import Final, NewType

BUCKETS: Final = 10
"""A count is forgotten between nine tenths of the window and the whole of it."""


Count = NewType("Count", int)
"""What is counted, as its place among the counts; a plain number, for it is used with each ping."""

PINGS: Final = Count(0)
TIMEOUTS: Final = Count(1)
MALFORMED: Final = Count(2)
POSTS: Final = Count(3)
REFUSED_POSTS: Final = Count(4)
COUNTS: Final = (PINGS, TIMEOUTS, MALFORMED, POSTS, REFUSED_POSTS)


class FailureWindow:
    """Counts over the last ``span_s`` seconds. ``now`` is monotonic and never goes back."""

    def __init__(self, span_s: float) -> None:
        self._bucket_s = span_s / BUCKETS
        self._buckets: deque[tuple[int, list[int]]] = deque()
        self._totals = [0] * len(COUNTS)

    def add(self, now: float, *counts: Count) -> Sequence[int]:
        """One more of each. Every count in its place; the list is the window's own."""
        number = self._forget(now)
        if not self._buckets or self._buckets[-1][0] != number:
            self._buckets.append((number, [0] * len(COUNTS)))
        bucket = self._buckets[-1][1]
        for count in counts:
            bucket[count] += 1
            self._totals[count] += 1
        return self._totals

    def clear(self) -> None:
        """Forget everything."""
        self._buckets.clear()
        self._totals = [0] * len(COUNTS)

    def _forget(self, now: float) -> int:
        number = int(now // self._bucket_s)
        while self._buckets and self._buckets[0][0] <= number - BUCKETS:
            for place, count in enumerate(self._buckets.popleft()[1]):
                self._totals[place] -= count
        return number
