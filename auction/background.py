"""Work that goes on as long as the service does."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

logger = logging.getLogger(__name__)

AGAIN_AFTER_S = 1.0

Work = Callable[[], Awaitable[None]]


class Background:
    """Runs work until ``stop``; what fails unexpectedly is logged and begun again."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def keep_running(self, name: str, work: Work) -> None:
        """Begin a piece of work; ``name`` is for the log."""
        self._tasks.append(asyncio.create_task(_again_and_again(name, work)))

    async def stop(self) -> None:
        """End everything that was begun."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()


async def _again_and_again(name: str, work: Work) -> None:
    while True:
        try:
            await work()
        except Exception:  # a sweeper that died silently would leak every slot from then on
            logger.exception("%s failed and is begun again", name, extra={"action": "background"})
        await asyncio.sleep(AGAIN_AFTER_S)
