"""What was made ready ahead of its time: put in force when it is due, the older first."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import Final, Generic, TypeVar

from storage.announcing import due
from storage.database import Database

RETRY_S: Final = 0.5
TOGETHER_S: Final = 0.25
"""Revisions that are due together seem as far apart as the database took to tell the time."""

logger = logging.getLogger(__name__)

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class _Waiting:
    revision: int
    due: float
    timer: asyncio.TimerHandle


class Announced(Generic[Made]):
    """Revisions that are ready and wait; ``enter`` puts one in force, one at a time."""

    def __init__(self, enter: Callable[[Made], Awaitable[None]]) -> None:
        self._enter = enter
        self._numbers = count(1)
        self._entered = 0
        self._waiting: list[_Waiting] = []
        self._entering: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    @property
    def waiting(self) -> tuple[int, ...]:
        """The revisions that wait, the first to come into force first."""
        return tuple(each.revision for each in self._waiting)

    async def put(self, revision: int, made: Made, due: float | None = None) -> None:
        """Put it in force: when the loop's time is ``due``, or before this returns without one.

        What waits is dropped unless it is older and due earlier: what is due together comes with
        the newest of it, and in a database that was restored the future is another one.
        """
        for each in tuple(self._waiting):
            if due is None or each.revision >= revision or each.due > due - TOGETHER_S:
                self._drop(each)
        loop, number = asyncio.get_running_loop(), next(self._numbers)
        if due is None or due <= loop.time():
            await self._enter_in_turn(number, made)
        else:
            timer = loop.call_at(due, self._begin, revision, number, made)
            self._waiting.append(_Waiting(revision, due, timer))

    async def close(self) -> None:
        """Put nothing in force any more."""
        for each in tuple(self._waiting):
            self._drop(each)
        for task in self._entering:
            task.cancel()
        await asyncio.gather(*self._entering, return_exceptions=True)

    def _drop(self, waiting: _Waiting) -> None:
        waiting.timer.cancel()
        self._waiting.remove(waiting)

    def _begin(self, revision: int, number: int, made: Made) -> None:
        self._waiting = [each for each in self._waiting if each.revision != revision]
        task = asyncio.create_task(self._enter_at_last(revision, number, made))
        self._entering.add(task)
        task.add_done_callback(self._entering.discard)

    async def _enter_at_last(self, revision: int, number: int, made: Made) -> None:
        """Nobody would hear of a failure: it is tried again until another is in force."""
        told = False
        while self._entered < number:
            try:
                await self._enter_in_turn(number, made)
            except Exception:
                if not told:
                    text = "revision %d can't be put in force"
                    logger.exception(text, revision, extra={"action": "enter_failed"})
                told = True
                await asyncio.sleep(RETRY_S)

    async def _enter_in_turn(self, number: int, made: Made) -> None:
        async with self._turn:
            if self._entered < number:
                await self._enter(made)
                self._entered = number


async def due_at(database: Database, revision: int) -> float | None:
    """When a revision comes into force, by the loop's clock; None: it is or should be by now.

    Raises StorageUnavailableError.
    """
    announced = await due(database, revision)
    if announced is None:
        return None
    return asyncio.get_running_loop().time() + announced.remaining_s
