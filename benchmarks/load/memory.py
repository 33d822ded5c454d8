"""Whether memory grows."""

from collections.abc import Sequence

from benchmarks.load.measurement import Memory

SETTLING = 0.2
"""The share of a run at its beginning in which caches and pools may still fill."""

MIB = 2**20


def growth_mib_per_minute(readings: Sequence[Memory]) -> float:
    """The slope of a straight line through all readings but those of the beginning.

    0 of fewer than three readings.
    """
    last_s = max((reading.at_s for reading in readings), default=0.0)
    kept = [reading for reading in readings if reading.at_s >= SETTLING * last_s]
    if len(kept) < 3:
        return 0.0
    mean_s = sum(reading.at_s for reading in kept) / len(kept)
    mean = sum(reading.resident for reading in kept) / len(kept)
    spread = sum((reading.at_s - mean_s) ** 2 for reading in kept)
    if not spread:
        return 0.0
    slope = sum((each.at_s - mean_s) * (each.resident - mean) for each in kept) / spread
    return slope * 60 / MIB


def peak_mib(readings: Sequence[Memory]) -> float:
    """The most that was seen; 0 of nothing."""
    return max((reading.resident for reading in readings), default=0) / MIB
