"""Decisions under way: whoever asks for one waits for it, and it ends though nobody waits."""

import asyncio
import logging
from collections.abc import Coroutine, Hashable
from functools import partial
from typing import Any, Generic, TypeVar

from auction.ports import Clock, StorageUnavailableError

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")

logger = logging.getLogger(__name__)


class Flights(Generic[Key, Result]):
    """One task per key; a task goes on when those who waited for it have given up."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: dict[Key, asyncio.Task[Result]] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def find(self, key: Key) -> "asyncio.Task[Result] | None":
        """The task under way, if any."""
        return self._tasks.get(key)

    def start(self, key: Key, work: "Coroutine[Any, Any, Result]") -> "asyncio.Task[Result]":
        """Begin the work of a key that has none under way."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[key] = task
        task.add_done_callback(partial(self._landed, key))
        return task

    async def wait(self, task: "asyncio.Task[Result]", until: float) -> Result:
        """Its result; raises StorageUnavailableError when ``until`` (monotonic) comes first."""
        left_s = max(0.0, until - self._clock.monotonic())
        done, _ = await asyncio.wait([task], timeout=left_s)
        if not done:
            raise StorageUnavailableError("no durable answer in time")
        return task.result()

    async def drain(self) -> None:
        """Wait until everything under way is stored or has failed."""
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    def _landed(self, key: Key, task: "asyncio.Task[Result]") -> None:
        del self._tasks[key]
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not isinstance(error, StorageUnavailableError):
            logger.error("A decision failed", exc_info=error, extra={"action": "decide"})
