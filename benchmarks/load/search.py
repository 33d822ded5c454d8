"""The search for the highest rate that holds."""

from dataclasses import dataclass, field
from typing import Final

FACTOR: Final = 1.6
"""How much faster the next try is while all hold."""


@dataclass(slots=True)
class RateSearch:
    """Steps up from ``first`` until a rate fails, then halves the gap.

    Ends after ``tries``, or when the gap between what holds and what fails is at most ``precision``
    of the former, or when ``highest`` holds. Where ``first`` fails it steps down.
    """

    first: float
    highest: float = 100_000.0
    precision: float = 0.05
    tries: int = 9
    held: float | None = field(default=None, init=False)
    failed: float | None = field(default=None, init=False)
    _tried: int = field(default=0, init=False)

    def next_rate(self) -> float | None:
        """The rate to try now; None when the search is over."""
        if self._tried >= self.tries or self._is_close():
            return None
        if self.held is None:
            return self.first if self.failed is None else self.failed / FACTOR
        if self.failed is None:
            return min(self.held * FACTOR, self.highest)
        return (self.held + self.failed) / 2

    def record(self, rate: float, *, holds: bool) -> None:
        """What came of a try. A noisy machine may contradict itself: the later try counts."""
        self._tried += 1
        if holds:
            self.held = rate
            if self.failed is not None and self.failed <= rate:
                self.failed = None
        else:
            self.failed = rate
            if self.held is not None and self.held >= rate:
                self.held = None

    def _is_close(self) -> bool:
        if self.held is None:
            return False
        if self.failed is None:
            return self.held >= self.highest
        return self.failed - self.held <= self.precision * self.held
