"""When calls have to start: a constant rate, whatever becomes of the calls before."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Schedule:
    """``rate`` calls a second for ``duration_s`` seconds, evenly spaced, the first at 0."""

    rate: float
    duration_s: float

    @property
    def count(self) -> int:
        """How many calls there are in all."""
        return max(1, round(self.rate * self.duration_s))

    def intended_s(self, number: int) -> float:
        """When call ``number``, from 0, has to start; errors do not add up."""
        return number / self.rate

    def due(self, elapsed_s: float) -> int:
        """How many calls have to have started ``elapsed_s`` after the beginning."""
        if elapsed_s < 0:
            return 0
        number = math.floor(elapsed_s * self.rate)
        # The product may fall on the wrong side of a whole number.
        if self.intended_s(number + 1) <= elapsed_s:
            number += 1
        elif self.intended_s(number) > elapsed_s:
            number -= 1
        return min(number + 1, self.count)
