"""What a switch still has: its calls that it does not have any more are closed as lost."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from auction.domain.ids import CallId, OwnerId
from auction.domain.usage import Usage
from auction.ports import StorageUnavailableError
from storage.database import Database
from storage.lapsing import Lapsed, close_as_lost
from storage.locked import find_locked, impatient, sparing_locked
from storage.outbox import SILENT, Outbox
from storage.progress import EarnedListener, ignore_earned
from storage.queries import query

_PLAN_BY_KEYS = query("plan_by_keys")
_AT_SWITCH = query("calls_at_switch")
_LOCK = query("lock_reported")

GRACE: Final = timedelta(seconds=30)
"""A call that was routed later than this before the list was made may be missing in it."""

MOST: Final = 200_000
"""How many calls of a switch are looked at; more are left to the next list, or to their leases."""

SLICE: Final = 200
"""How many calls are locked at once."""

PATIENCE_S: Final = 2.0
"""How long a list waits until the one before it has been compared."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What a list brought: the calls that were closed, and how many the switch has by now."""

    closed: Sequence[CallId]
    live: int


class SwitchCalls:
    """Compares switches' lists with what is live here, one list at a time.

    After each commit ``on_usage`` is told the usage seen and ``on_earned`` what either
    side earns by it; subscribers are told by the ``outbox``.
    """

    def __init__(
        self,
        database: Database,
        on_usage: Callable[[Mapping[OwnerId, Usage]], None] = lambda _: None,
        *,
        on_earned: EarnedListener = ignore_earned,
        outbox: Outbox = SILENT,
        slice_size: int = SLICE,
    ) -> None:
        self._database = database
        self._on_usage = on_usage
        self._on_earned = on_earned
        self._outbox = outbox
        self._slice_size = slice_size
        self._turn = asyncio.Semaphore(1)

    async def compare(self, switch: str, as_of: datetime, listed: Set[CallId]) -> Compared:
        """Close the switch's calls that are not listed and were routed ``GRACE`` before ``as_of``.

        Each slice is durable by itself, and calls that somebody keeps locked are left alone.
        Raises StorageUnavailableError.
        """
        async with self._in_turn():
            live, missing = await self._missing(switch, as_of, listed)
            closed: list[CallId] = []
            for start in range(0, len(missing), self._slice_size):
                attempts = dict(missing[start : start + self._slice_size])
                closed += await self._close(switch, attempts)
        return Compared(closed, live - len(closed))

    @asynccontextmanager
    async def _in_turn(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._turn.acquire()
        except TimeoutError:
            raise StorageUnavailableError("another list of calls is being compared") from None
        try:
            yield
        finally:
            self._turn.release()

    async def _missing(
        self, switch: str, as_of: datetime, listed: Set[CallId]
    ) -> tuple[int, list[tuple[CallId, int]]]:
        """How many calls the switch should have; those that it lacks, with their attempts."""
        async with self._database.transaction() as connection:
            await connection.execute(_PLAN_BY_KEYS)
            rows = await connection.fetch(_AT_SWITCH, switch, as_of - GRACE, MOST)
        missing = [
            (CallId(row["call_id"]), row["attempt"])
            for row in rows
            if row["settled"] and row["call_id"] not in listed
        ]
        return len(rows), missing

    async def _close(self, switch: str, attempts: Mapping[CallId, int]) -> list[CallId]:
        done: list[Lapsed] = []

        async def run(calls: Collection[CallId]) -> dict[CallId, bool]:
            lapsed = await self._close_locked(switch, {each: attempts[each] for each in calls})
            done.append(lapsed)
            return {each: each in lapsed.call_ids for each in calls}

        async def stuck(calls: Collection[CallId]) -> Collection[CallId]:
            return (await find_locked(self._database, calls)).calls

        closed = await sparing_locked(list(attempts), run, stuck)
        for lapsed in done:
            lapsed.tell(self._on_usage, self._on_earned)
        return [call_id for call_id, was_closed in closed.items() if was_closed is True]

    async def _close_locked(self, switch: str, attempts: Mapping[CallId, int]) -> Lapsed:
        """Close calls that are still where they were; what has moved on meanwhile stays."""
        async with impatient(self._database.transaction()) as connection:
            rows = await connection.fetch(_LOCK, sorted(attempts))
            same = [row for row in rows if row["attempt"] == attempts[row["call_id"]]]
            return await close_as_lost(
                connection, same, actor=f"switch:{switch}", outbox=self._outbox
            )
