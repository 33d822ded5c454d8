"""A watch goes on, whatever happens to one look."""

import asyncio
from typing import cast

from auction.alerts.watch import AlertWatch
from auction.ports import StorageUnavailableError
from storage.database import Database
from tests.virtual_time import run_virtually


class ScriptedWatch(AlertWatch):
    """Looks that fail, then one that does not."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__(cast("Database", None), lambda: None)
        self._errors = list(errors)
        self.seen = asyncio.Event()

    async def look(self) -> bool:
        if self._errors:
            raise self._errors.pop(0)
        self.seen.set()
        return True


def test_a_look_that_fails_is_followed_by_the_next() -> None:
    async def scenario() -> None:
        watch = ScriptedWatch(StorageUnavailableError("away"), RuntimeError("a bug"))
        running = asyncio.create_task(watch.run())
        async with asyncio.timeout(60):
            await watch.seen.wait()
        running.cancel()

    run_virtually(scenario())
