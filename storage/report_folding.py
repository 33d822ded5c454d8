"""Folds what calls have added to the figures into sums, in the background."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import asyncpg

from auction.domain.report_figures import Figures
from auction.domain.terms import BuyerType
from auction.ports import StorageUnavailableError
from storage.database import Connection, Database
from storage.queries import query
from storage.report_deltas import Delta, FoldedRows, Owned, Owner
from storage.report_rosters import RosterKey, Rosters, add_rosters
from storage.report_rows import Grain, RowKey, figure_columns

_LOCK = query("lock_folding")
_CLAIM = query("claim_deltas")
_OWNERS = query("offer_owners")
_DAYS = query("whole_days_of")
_ADD = query("add_figures")
_BACKLOG = query("folding_backlog")

EVERY_S: Final = 1.0
AT_ONCE: Final = 400
"""How many deltas one transaction folds."""

AT_A_TIME: Final = 20
"""How many are counted before the loop sees to calls again."""

MOST_COUNTED: Final = 100_000
"""So many deltas are counted for the metrics: a scrape must not read a table of millions."""

KNOWN_OWNERS: Final = 50_000
_QUARTERS: Final = Grain.QUARTER.value

Item = TypeVar("Item")

logger = logging.getLogger(__name__)


class ReportFolding:
    """Any number of processes may run one: only one of them folds at a time."""

    def __init__(self, database: Database, at_once: int = AT_ONCE) -> None:
        self._database = database
        self._at_once = at_once
        self._owners: dict[Owned, Owner] = {}
        self._rosters = Rosters()

    async def run(self, every_s: float = EVERY_S) -> None:
        """Fold until cancelled; a database that is away is waited for."""
        while True:
            folded = 0
            try:
                folded = await self.fold()
            except StorageUnavailableError as error:
                logger.warning("Figures wait: %s", error, extra={"action": "fold_reports"})
            await asyncio.sleep(every_s if folded < self._at_once else 0)

    async def fold(self) -> int:
        """Fold what waits, up to a limit, and return how much that was; 0 while another folds.

        Raises StorageUnavailableError: then nothing of it has happened.
        """
        async with self._database.transaction() as connection:
            if not await connection.fetchval(_LOCK):
                return 0
            claimed = await connection.fetch(_CLAIM, self._at_once)
            if claimed:
                figures, rosters = await self._count(connection, claimed)
                await connection.execute(_ADD, *figure_columns(figures))
                await add_rosters(connection, rosters)
        return len(claimed)

    async def _count(
        self, connection: Connection, claimed: Sequence[asyncpg.Record]
    ) -> tuple[Mapping[RowKey, Figures], Mapping[RosterKey, int]]:
        deltas = [Delta.read(row) async for row in _in_turn(claimed)]
        await self._learn_owners(connection, deltas)
        rows = FoldedRows(self._owners)
        async for delta in _in_turn(deltas):
            rows.count(delta)
        rows.add_to_quarters()
        quarters = sorted({key.bucket for key in rows.figures if key.grain == _QUARTERS})
        days = {row["bucket"]: row["first"] for row in await connection.fetch(_DAYS, quarters)}
        rows.add_to_days(days)
        await self._rosters.learn(connection, rows.decided)
        return rows.figures, self._rosters.rows(rows.decided, days)

    async def _learn_owners(self, connection: Connection, deltas: Iterable[Delta]) -> None:
        if len(self._owners) > KNOWN_OWNERS:
            self._owners.clear()
        unknown = {owned for each in deltas for owned in each.offers() if owned not in self._owners}
        if not unknown:
            return
        offers, revisions = zip(*unknown, strict=True)
        for row in await connection.fetch(_OWNERS, offers, revisions):
            kind = BuyerType(row["type"] or BuyerType.BUYER.value)
            self._owners[row["offer"], row["revision"]] = Owner(row["buyer"], kind)


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many deltas wait, ``MOST_COUNTED`` at most, and how long the oldest has, in seconds."""

    waiting: int
    oldest_s: float


async def read_backlog(database: Database) -> Backlog:
    """What waits to be folded. Raises StorageUnavailableError."""
    async with database.connection() as connection:
        row = await connection.fetchrow(_BACKLOG, MOST_COUNTED)
    assert row is not None, "an aggregate has a row"
    return Backlog(row["waiting"], row["oldest_s"])


async def _in_turn(items: Iterable[Item]) -> AsyncIterator[Item]:
    """A few at a time: between them the loop sees to calls."""
    for number, item in enumerate(items, start=1):
        yield item
        if number % AT_A_TIME == 0:
            await asyncio.sleep(0)
