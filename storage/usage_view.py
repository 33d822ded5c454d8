"""Cap usage as it was a moment ago, for eligibility; the ledger decides."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from auction.domain.ids import OwnerId
from auction.domain.usage import Usage
from auction.ports import StorageUnavailableError
from storage.batch import Batcher, BatchLimits
from storage.database import Database
from storage.queries import query
from storage.usage_rows import decode

_READ = query("read_usage")

FRESH_S: Final = 0.2
"""How old a reading may be when it is used."""

REFRESH_EVERY_S: Final = 0.1
"""How often the owners that were asked for lately are read again, so that nobody waits for them."""

ASKED_LATELY_S: Final = 5.0

SLICE: Final = 250
"""How many owners are read at once; between slices the loop sees to calls."""

logger = logging.getLogger(__name__)


class PostgresUsageView:
    """Readings kept in memory; those that are too old are fetched for all who ask at once.

    ``monotonic`` gives seconds. ``note`` is for usage that a transaction has just seen.
    """

    def __init__(self, database: Database, monotonic: Callable[[], float]) -> None:
        self._database = database
        self._monotonic = monotonic
        self._usage: dict[OwnerId, Usage] = {}
        self._counters: dict[OwnerId, Sequence[int]] = {}
        self._seen_at: dict[OwnerId, float] = {}
        self._asked_at: dict[OwnerId, float] = {}
        self._batcher: Batcher[Sequence[OwnerId], None] = Batcher(
            self._fetch_all, BatchLimits(max_size=1000)
        )

    def read(self) -> Mapping[OwnerId, Usage]:
        """The readings; an owner that is absent has used nothing."""
        return self._usage

    async def refresh(self, owners: Iterable[OwnerId]) -> None:
        """Bring readings that are too old up to date; where that fails they stay as they are."""
        now = self._monotonic()
        oldest = now - FRESH_S
        stale: list[OwnerId] = []
        for owner in owners:
            self._asked_at[owner] = now
            if self._seen_at.get(owner, oldest) <= oldest:
                stale.append(owner)
        if stale:
            await self._read_again(stale)

    def note(self, usage: Mapping[OwnerId, Usage]) -> None:
        """Take over usage that was read under its lock a moment ago."""
        self._usage.update(usage)
        for owner in usage:
            self._counters.pop(owner, None)
        self._seen_at.update(dict.fromkeys(usage, self._monotonic()))

    async def run(self) -> None:
        """Keep the owners that were asked for lately fresh, until cancelled."""
        while True:
            await asyncio.sleep(REFRESH_EVERY_S)
            lately = self._asked_lately()
            if lately:
                await self._read_again(lately)

    async def _read_again(self, owners: Sequence[OwnerId]) -> None:
        try:
            await self._batcher.submit(owners)
        except StorageUnavailableError as error:
            # The ledger decides; what is known here only spares buyers a request.
            logger.debug("A reading failed: %s", error, extra={"action": "read_usage"})

    def _asked_lately(self) -> list[OwnerId]:
        """The owners that calls have asked for; readings of others are too old to be used."""
        since = self._monotonic() - ASKED_LATELY_S
        for owner in [owner for owner, at in self._asked_at.items() if at < since]:
            del self._asked_at[owner]
        if len(self._seen_at) > 2 * len(self._asked_at):
            self._forget_others()
        return list(self._asked_at)

    def _forget_others(self) -> None:
        for readings in (self._usage, self._counters, self._seen_at):
            for owner in [owner for owner in readings if owner not in self._asked_at]:
                del readings[owner]

    async def _fetch_all(self, wanted: Sequence[Sequence[OwnerId]]) -> Sequence[None]:
        oldest = self._monotonic() - REFRESH_EVERY_S / 2
        owners = {
            owner for some in wanted for owner in some if self._seen_at.get(owner, oldest) <= oldest
        }
        ordered = sorted(owners)
        for start in range(0, len(ordered), SLICE):
            await self._fetch(ordered[start : start + SLICE])
            await asyncio.sleep(0)
        return [None] * len(wanted)

    async def _fetch(self, owners: Sequence[OwnerId]) -> None:
        began = self._monotonic()
        async with self._database.connection() as connection:
            rows = await connection.fetch(_READ, owners)
        for row in rows:
            owner = row["owner"]
            if self._seen_at.get(owner, began) <= began:
                self._take(owner, row["counters"])
        self._seen_at.update(
            {owner: began for owner in owners if self._seen_at.get(owner, began) <= began}
        )

    def _take(self, owner: OwnerId, counters: Sequence[int]) -> None:
        """Decoding costs ten times as much as seeing that nothing has changed."""
        if self._counters.get(owner) != counters:
            self._counters[owner] = counters
            self._usage[owner] = decode(counters)
