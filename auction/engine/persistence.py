"""A step of the ledger that must not be lost to a moment's trouble with the database."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from auction.ports import Clock, StorageUnavailableError

Result = TypeVar("Result")

AGAIN_AFTER_S = 0.05


async def persist(step: Callable[[], Awaitable[Result]], clock: Clock, until: float) -> Result:
    """The step's result; while storage is away it is tried again until ``until`` (monotonic).

    For steps that may be repeated: what was stored without our hearing of it is found again.
    Raises StorageUnavailableError when the time is over.
    """
    while True:
        try:
            return await step()
        except StorageUnavailableError:
            if clock.monotonic() + AGAIN_AFTER_S > until:
                raise
        await asyncio.sleep(AGAIN_AFTER_S)
