"""How many requests a token may send. Time is an argument."""

from dataclasses import dataclass
from typing import Final

_ROUNDING_S: Final = 1e-9


@dataclass(frozen=True, slots=True)
class RateLimit:
    """``per_second`` requests in the long run, ``burst`` of them at once."""

    per_second: float
    burst: int

    def divided(self, processes: int) -> "RateLimit":
        """The share of each process: together they let no more through."""
        return RateLimit(self.per_second / processes, max(1, self.burst // processes))


class Throttle:
    """Lets requests through at a rate, with one moment to remember."""

    __slots__ = ("_due", "_slack_s", "_step_s")

    def __init__(self, limit: RateLimit) -> None:
        self._step_s = 1 / limit.per_second
        self._slack_s = (limit.burst - 1) * self._step_s + _ROUNDING_S
        self._due = 0.0

    def wait_s(self, now: float) -> float:
        """0: go on, and this request is counted. Else in how many seconds the next one may."""
        due = max(self._due, now)
        early_s = due - now - self._slack_s
        if early_s > 0:
            return early_s
        self._due = due + self._step_s
        return 0.0
