"""What is kept for so many days only: gone through in the background, a batch at a time."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import asyncpg

from auction.domain.ids import CallId
from auction.domain.terms import Campaign
from auction.ports import StorageUnavailableError
from storage.audit import Actor, add_note
from storage.books import columns
from storage.database import Connection, Database
from storage.erasing import Erase, Erased, erase
from storage.locked import RowsLockedError, impatient
from storage.queries import query
from storage.suppressions import SuppressedNumbers

_PLAN_BY_KEYS = query("plan_by_keys")
_LOCK = query("retention_lock")
_TERMS = query("retention_terms")
_DUE = query("retention_due")
_CALLS = query("retention_calls")
_ADVANCE = query("retention_advance")
_LEAVE = query("retention_leave")
_LEFT_OVER = query("retention_left_over")
_SETTLED = query("retention_settled")

AT_ONCE: Final = 200
"""How many calls a transaction looks at: some tens of milliseconds."""

PAUSE_S: Final = 0.1
EVERY_S: Final = 60.0

_RETENTION: Final = Actor("retention", "retention")

logger = logging.getLogger(__name__)


class Retention:
    """Any number of processes may run one: one of them works at a time.

    ``campaigns`` are those of the marketplace in force. It waits for nobody's lock.
    """

    def __init__(
        self,
        database: Database,
        campaigns: Callable[[], Iterable[Campaign]],
        numbers: SuppressedNumbers,
    ) -> None:
        self._database = database
        self._campaigns = campaigns
        self._numbers = numbers
        self._taken: dict[Erase, Counter[str]] = {what: Counter() for what in Erase}

    async def run(self) -> None:
        """Take away what is due until cancelled; a database that is away is waited for."""
        while True:
            more = False
            try:
                more = await self.work() or await self._numbers.sweep()
            except (StorageUnavailableError, RowsLockedError) as error:
                logger.warning("Retention waits: %s", error, extra={"action": "retention"})
            await asyncio.sleep(PAUSE_S if more else EVERY_S)

    async def work(self) -> bool:
        """One batch; whether there may be more. Raises StorageUnavailableError, RowsLockedError."""
        async with impatient(self._database.transaction()) as connection:
            if not await connection.fetchval(_LOCK):
                return False
            await connection.execute(_PLAN_BY_KEYS)
            await connection.execute(_TERMS, *_terms(self._campaigns()))
            due = await connection.fetchrow(_DUE)
            if due is None:
                return await self._try_again(connection)
            await self._go_on(connection, due)
        return True

    async def _go_on(self, connection: Connection, due: asyncpg.Record) -> None:
        what, campaigns, until = Erase(due["kind"]), due["campaigns"], due["until"]
        rows = await connection.fetch(_CALLS, due["done_at"], due["done_call"], until, AT_ONCE)
        wanted = [row["call_id"] for row in rows if _is_wanted(row, what, campaigns)]
        erased = await erase(connection, what, wanted) if wanted else Erased()
        if erased.in_use:
            await connection.execute(_LEAVE, what.value, erased.in_use)
        whole = len(rows) < AT_ONCE
        place = (until, "") if whole else (rows[-1]["received_at"], rows[-1]["call_id"])
        await connection.execute(_ADVANCE, what.value, campaigns, *place)
        self._taken[what] += erased.rows
        if whole:
            await self._note(connection, what)

    async def _try_again(self, connection: Connection) -> bool:
        """Calls that were in use when their turn came."""
        rows = await connection.fetch(_LEFT_OVER, AT_ONCE)
        for what in Erase:
            left: list[CallId] = [row["call_id"] for row in rows if row["kind"] == what.value]
            if left:
                erased = await erase(connection, what, left)
                await connection.execute(_LEAVE, what.value, erased.in_use)
                settled = sorted(set(left) - set(erased.in_use))
                await connection.execute(_SETTLED, what.value, settled)
                self._taken[what] += erased.rows
                await self._note(connection, what)
        return len(rows) == AT_ONCE

    async def _note(self, connection: Connection, what: Erase) -> None:
        """What was taken away since the last time, for the audit log."""
        counts, self._taken[what] = +self._taken[what], Counter()
        if counts:
            await add_note(
                connection, _RETENTION.did("erase", "retention", what.value, after=counts)
            )


def _terms(campaigns: Iterable[Campaign]) -> Sequence[Sequence[object]]:
    """Whose calls are kept for how long, and all campaigns that there are."""
    known = list(campaigns)
    rows = [
        (campaign.id, kind.value, days)
        for campaign in known
        for kind, days in (
            (Erase.PII, campaign.retention.pii_days),
            (Erase.CALLS, campaign.retention.calls_days),
        )
        if days is not None
    ]
    return (*columns(rows, 3), [campaign.id for campaign in known])


def _is_wanted(row: asyncpg.Record, what: Erase, campaigns: Sequence[str]) -> bool:
    done = what is Erase.PII and row["erased"]
    return row["campaign"] in campaigns and not done
