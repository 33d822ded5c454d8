"""How much of its work a process may begin, by what it has to do already. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from math import inf
from typing import Final

LEAVES_AT: Final = 0.7
"""A level is left when every reading is below this share of what enters it: no flapping."""

SMOOTHING: Final = 0.1
"""The weight of a new reading: one stall alone says little, however long it is."""


class LoadLevel(IntEnum):
    """What is done with a new call; the values are published as ``pingpost_overload_level``."""

    NORMAL = 0
    STATIC_ONLY = 1
    REFUSE = 2


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From which reading on a level is entered; 0: never."""

    static_only: float
    refuse: float

    @property
    def quiet_below(self) -> float:
        """Lower readings neither enter nor keep any level."""
        used = [each for each in (self.static_only, self.refuse) if each]
        return min(used, default=inf) * LEAVES_AT

    def reached(self, reading: float, share: float = 1.0) -> LoadLevel:
        """The highest level of which a reading reaches this share."""
        if self.refuse and reading >= self.refuse * share:
            return LoadLevel.REFUSE
        if self.static_only and reading >= self.static_only * share:
            return LoadLevel.STATIC_ONLY
        return LoadLevel.NORMAL


def next_level(level: LoadLevel, readings: Iterable[tuple[float, Thresholds]]) -> LoadLevel:
    """The level that follows: entered by any reading, left when all of them are well below."""
    entered = kept = LoadLevel.NORMAL
    for reading, thresholds in readings:
        entered = max(entered, thresholds.reached(reading))
        kept = max(kept, thresholds.reached(reading, LEAVES_AT))
    return max(entered, min(kept, level))


def smoothed(before: float, reading: float) -> float:
    """A running mean after one more reading."""
    return before + SMOOTHING * (reading - before)
