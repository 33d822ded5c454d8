"""Days added up once they are over, so that long reports read little; old minutes go."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import asyncpg

from auction.domain.terms import Period
from auction.domain.windows import resets_at, window_starts
from auction.ports import StorageUnavailableError
from storage.database import Database
from storage.queries import query
from storage.report_figures import MINUTES_KEPT
from storage.report_rows import Grain

_LOCK = query("lock_folding")
_FIRST = query("first_unsummed")
_ADD_UP = query("add_up_day")
_ADD_UP_ROSTERS = query("add_up_rosters")
_NOTE = query("note_whole_day")
_HAVE_ROOM = query("have_room")
_FORGET = query("forget_minutes")

_ADDED_UP: Final = {
    Grain.QUARTER: Grain.DAY,
    Grain.SOURCE_QUARTER: Grain.SOURCE_DAY,
}

EVERY_S: Final = 300.0
PAUSE_S: Final = 1.0
"""Between days that wait: calls that come in meanwhile are folded."""

SETTLED_AFTER: Final = timedelta(hours=1)
"""How long after its end a day is added up; what is added to it later goes to both."""

ADD_UP_S: Final = 120.0

logger = logging.getLogger(__name__)


class ReportUpkeep:
    """Any number of processes may run one. ``zone`` is the marketplace's: the days are its days."""

    def __init__(self, database: Database, zone: Callable[[], ZoneInfo]) -> None:
        self._database = database
        self._zone = zone

    async def run(self, every_s: float = EVERY_S) -> None:
        """Add up and forget until cancelled; a database that is away is waited for."""
        while True:
            more = False
            try:
                now = datetime.now(UTC)
                more = await self.add_up(now)
                await self.forget(now)
            except (StorageUnavailableError, asyncpg.PostgresError) as error:
                logger.warning("Days wait: %s", error, extra={"action": "add_up_days"})
            await asyncio.sleep(PAUSE_S if more else every_s)

    async def add_up(self, now: datetime) -> bool:
        """Add up one day that is over; False when there is none. Raises StorageUnavailableError."""
        async with self._database.transaction() as connection:
            if not await connection.fetchval(_LOCK):
                return False
            row = await connection.fetchrow(_FIRST, now - SETTLED_AFTER)
            if row is None or row["bucket"] is None:
                return False
            first, until = _day(row, self._zone())
            if until > now - SETTLED_AFTER:
                return False
            await connection.execute(_HAVE_ROOM)
            for quarters, days in _ADDED_UP.items():
                grains = (quarters.value, days.value)
                for add_up in (_ADD_UP, _ADD_UP_ROSTERS):
                    await connection.execute(add_up, first, until, *grains, timeout=ADD_UP_S)
            await connection.execute(_NOTE, first, until)
        return True

    async def forget(self, now: datetime) -> None:
        """Drop minutes that are too old. Raises StorageUnavailableError."""
        async with self._database.connection() as connection:
            await connection.execute(_FORGET, now - MINUTES_KEPT, timeout=ADD_UP_S)


def _day(row: asyncpg.Record, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The day of a quarter, cut short where days of another zone were added up next to it."""
    at = row["bucket"]
    until = resets_at(Period.DAY, at, zone)
    assert until is not None, "only the total never ends"
    first = datetime.fromtimestamp(window_starts(at, zone)[Period.DAY], UTC)
    since, before = row["since"], row["until"]
    return (
        first if since is None else max(first, since),
        until if before is None else min(until, before),
    )
