"""Room for the days to come in the tables that are kept by day."""

import asyncio
import logging
from typing import Final

import asyncpg

from auction.ports import StorageUnavailableError
from storage.database import Database
from storage.locked import RowsLockedError, impatient
from storage.queries import query

_ADD_PARTITIONS = query("add_partitions")

DAYS_AHEAD: Final = 7
"""For how many days, today included, there is to be a partition."""


CHECK_EVERY_S: Final = 3600.0
RETRY_AFTER_S: Final = 30.0

TRIES: Final = 10
PAUSE_S: Final = 0.1
"""Between tries, none of which waits for a lock long enough to be felt by calls."""

logger = logging.getLogger(__name__)


async def keep_partitions(database: Database) -> None:
    """Make partitions ahead of their days, until cancelled."""
    while True:
        pause_s = CHECK_EVERY_S
        try:
            await add_partitions(database)
        except (StorageUnavailableError, asyncpg.PostgresError) as error:
            logger.warning("No partitions made: %s", error, extra={"action": "add_partitions"})
            pause_s = RETRY_AFTER_S
        await asyncio.sleep(pause_s)


async def add_partitions(database: Database, days: int = DAYS_AHEAD) -> int:
    """Make the daily partitions that are missing and return their number; once a day is enough.

    Raises StorageUnavailableError, also when the tables are too busy for it right now. Until it has
    run, rows of a day go to a default partition and stay there: a service may start without it.
    """
    return sum([await _add_day(database, day) for day in range(days)])


async def _add_day(database: Database, day: int) -> int:
    for _ in range(TRIES - 1):
        try:
            return await _try_day(database, day)
        except RowsLockedError:
            await asyncio.sleep(PAUSE_S)
    try:
        return await _try_day(database, day)
    except RowsLockedError as error:
        raise StorageUnavailableError("the daily tables are too busy") from error


async def _try_day(database: Database, day: int) -> int:
    async with impatient(database.connection()) as connection:
        made: int = await connection.fetchval(_ADD_PARTITIONS, day)
    return made
