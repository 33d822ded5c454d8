"""Transactions that lost against another one are run again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import asyncpg

from auction.ports import StorageUnavailableError

Result = TypeVar("Result")

TRIES: Final = 5
FIRST_PAUSE_S: Final = 0.001


class TryAgainError(Exception):
    """What a transaction relied on has changed; nothing of it was stored."""


async def retrying(work: Callable[[], Awaitable[Result]]) -> Result:
    """The result of ``work``, run again a few times after a deadlock or a serialization failure.

    Raises StorageUnavailableError when it loses every time.
    """
    pause_s = FIRST_PAUSE_S
    for _ in range(TRIES - 1):
        try:
            return await work()
        except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, TryAgainError):
            await asyncio.sleep(pause_s)
            pause_s *= 2
    try:
        return await work()
    except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, TryAgainError) as error:
        raise StorageUnavailableError("the database is too contended") from error
