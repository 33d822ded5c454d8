"""Times of many calls as an HDR histogram: three significant digits from 1 µs to 2 minutes."""

from collections.abc import Iterable
from typing import Final, Self

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]  # it has no types

LONGEST_US: Final = 120_000_000
_DIGITS: Final = 3

SHOWN: Final = (50.0, 90.0, 99.0, 99.9)
"""The percentiles that reports tell."""

PLOTTED: Final = (0.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.95, 99.99)


class Latencies:
    """Times in microseconds go in, milliseconds come out."""

    def __init__(self, microseconds: Iterable[float] = ()) -> None:
        """Record all; what is outside the range is recorded at its end."""
        self._histogram = HdrHistogram(1, LONGEST_US, _DIGITS)
        for value in microseconds:
            self.record(value)

    def record(self, microseconds: float) -> None:
        """Record one time."""
        self._histogram.record_value(min(max(1, round(microseconds)), LONGEST_US))

    @classmethod
    def decode(cls, text: str) -> Self:
        """What ``encode`` made."""
        latencies = cls()
        latencies._histogram.decode_and_add(text.encode())
        return latencies

    def encode(self) -> str:
        """As text, in the format that all HDR histogram libraries read."""
        encoded: bytes = self._histogram.encode()
        return encoded.decode()

    @property
    def count(self) -> int:
        """How many times were recorded."""
        return int(self._histogram.get_total_count())

    def percentile_ms(self, percent: float) -> float:
        """The time that ``percent`` of all are not above; 0 of nothing."""
        if not self.count:
            return 0.0
        return float(self._histogram.get_value_at_percentile(percent)) / 1000

    @property
    def max_ms(self) -> float:
        """The longest; 0 of nothing."""
        return self.percentile_ms(100.0)
