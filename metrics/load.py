"""What this process has to do, and so what it may begin: measured often, asked once per call."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from auction.domain.overload import LoadLevel, Thresholds, next_level, smoothed

_INTERVAL_S = 0.025

FEW_CALLS: Final = 10
"""With fewer calls under decision it is not they that make the loop late."""


@dataclass(frozen=True, slots=True)
class LoadTerms:
    """When there is too much to do: by the event loop's lag (in milliseconds, smoothed), by calls
    under decision, by steps that wait for the database.
    """

    lag_ms: Thresholds
    calls: Thresholds
    queued: Thresholds


class LoadWatch:
    """Watches the load of one process; an ``auction.ports.Load``.

    ``calls`` is read with every question, ``queued`` as often as the lag is measured. ``on_level``
    is told of every change, ``on_reading`` both numbers as often as the lag is measured.
    """

    def __init__(
        self,
        terms: LoadTerms,
        *,
        calls: Callable[[], int],
        queued: Callable[[], int],
        on_level: Callable[[LoadLevel], None],
        on_reading: Callable[[int, int], None],
    ) -> None:
        self._terms = terms
        self._calls = calls
        self._queued = queued
        self._on_level = on_level
        self._on_reading = on_reading
        self._level = LoadLevel.NORMAL
        self._lag_ms = 0.0
        self._waiting = 0
        self._quiet = True
        self._few_calls = terms.calls.quiet_below

    def level(self) -> LoadLevel:
        """See ``Load.level``."""
        calls = self._calls()
        quiet = self._level is LoadLevel.NORMAL and self._quiet and calls < self._few_calls
        return LoadLevel.NORMAL if quiet else self._weigh(calls)

    def _weigh(self, calls: int) -> LoadLevel:
        terms = self._terms
        readings = (
            (self._lag_ms if calls >= FEW_CALLS else 0.0, terms.lag_ms),
            (calls, terms.calls),
            (self._waiting, terms.queued),
        )
        level = next_level(self._level, readings)
        if level is not self._level:
            self._level = level
            self._on_level(level)
        return level

    def _measured(self, lag_ms: float) -> None:
        terms = self._terms
        self._lag_ms = smoothed(self._lag_ms, lag_ms)
        self._waiting = self._queued()
        in_time = self._lag_ms < terms.lag_ms.quiet_below
        self._quiet = in_time and self._waiting < terms.queued.quiet_below
        calls = self._calls()
        self._weigh(calls)
        self._on_reading(calls, self._waiting)

    async def run(self) -> None:
        """Measure the lag until cancelled; a level is left though no call comes any more."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _INTERVAL_S
            await asyncio.sleep(_INTERVAL_S)
            self._measured(max(0.0, loop.time() - due) * 1000)
