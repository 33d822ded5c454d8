"""How many pings an offer gets at most, wherever one begins to count. Time is an argument."""

from collections import deque
from dataclasses import dataclass
from typing import Final

MOST_REMEMBERED: Final = 1_000
"""Of higher rates the share of a second with so many pings is bounded, not the second."""


@dataclass(frozen=True, slots=True)
class PingRateTerms:
    """At most ``per_second`` pings. ``shadow``: counted, and nobody is held back."""

    per_second: float
    shadow: bool = False


class PingRate:
    """Lets through ``burst`` pings in any ``burst / per_second`` seconds.

    ``burst`` is a second's worth: all of it may come at once. Below one a second it is a single
    ping in every ``1 / per_second`` seconds.
    """

    def __init__(self, per_second: float) -> None:
        burst = max(1, min(int(per_second), MOST_REMEMBERED))
        self._span_s = burst / per_second
        self._sent: deque[float] = deque(maxlen=burst)

    def has_room(self, now: float) -> bool:
        """Whether one more ping may be sent."""
        sent = self._sent
        return len(sent) < (sent.maxlen or 0) or now - sent[0] >= self._span_s

    def take(self, now: float) -> None:
        """One ping is sent."""
        self._sent.append(now)
