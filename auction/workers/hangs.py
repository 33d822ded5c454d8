"""Ends workers that live and do nothing any more, so that others are put in their places."""

import asyncio
import logging
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

BEAT_S: Final = 0.5
"""How often a worker's event loop tells that it turns, and how often that is looked at."""

logger = logging.getLogger(__name__)


class Beating(Protocol):
    """What has to be known of a worker's process."""

    @property
    def number(self) -> int:
        """Its place in the crew, from 1."""

    @property
    def place(self) -> int:
        """Its place on the board."""

    @property
    def is_ready(self) -> bool:
        """Whether it takes calls."""

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; one that has ended gets none."""


@dataclass(slots=True)
class _Pulse:
    beats: int
    silent_looks: int = 0


class HangWatch:
    """Kills each ready worker that has not beaten for ``after_s`` seconds.

    Only looks count, not the clock: when it is the parent that stood still, nobody has been silent.
    """

    def __init__(
        self,
        living: Callable[[], Iterable[Beating]],
        beats: Callable[[int], int],
        after_s: float,
    ) -> None:
        self._living = living
        self._beats = beats
        self._after_s = after_s
        self._pulses: dict[Beating, _Pulse] = {}

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(BEAT_S)

    def look(self) -> None:
        """Look at each worker once."""
        before, self._pulses = self._pulses, {}
        for worker in self._living():
            if worker.is_ready:
                self._pulses[worker] = self._felt(worker, before.get(worker))

    def _felt(self, worker: Beating, before: _Pulse | None) -> _Pulse:
        beats = self._beats(worker.place)
        if before is None or before.beats != beats:
            return _Pulse(beats)
        silent = before.silent_looks + 1
        if silent * BEAT_S >= self._after_s:
            text = "Worker %d has not moved for %.0f s and is killed"
            told = {"action": "worker_hangs"}
            logger.error(text, worker.number, silent * BEAT_S, extra=told)
            worker.send(signal.SIGKILL)
        return _Pulse(beats, silent)
