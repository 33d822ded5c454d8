"""Waiting for a turn without holding a connection that others need."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from auction.ports import StorageUnavailableError


@asynccontextmanager
async def a_turn(free: asyncio.Semaphore, patience_s: float, told: str) -> AsyncIterator[None]:
    """One of those ``free``. Raises StorageUnavailableError, ``told``, after ``patience_s``."""
    try:
        async with asyncio.timeout(patience_s):
            await free.acquire()
    except TimeoutError:
        raise StorageUnavailableError(told) from None
    try:
        yield
    finally:
        free.release()
