"""How late the event loop runs what is due."""

import asyncio
from collections import deque
from collections.abc import Callable

_INTERVAL_S = 0.25
_KEPT = 60


class LoopLagMonitor:
    """Measures the event loop's lag and reports the worst of the last ``kept`` readings.

    A scrape sees one value only, so a short stall has to stay visible for a scrape interval.
    """

    def __init__(
        self, report: Callable[[float], None], *, interval_s: float = _INTERVAL_S, kept: int = _KEPT
    ) -> None:
        self._report = report
        self._interval_s = interval_s
        self._readings: deque[float] = deque(maxlen=kept)

    async def run(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + self._interval_s
            await asyncio.sleep(self._interval_s)
            self._readings.append(max(0.0, loop.time() - due))
            self._report(max(self._readings))
