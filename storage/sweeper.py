"""Gives back what is held by calls whose lease is over."""

import asyncio
import logging
from collections.abc import Callable, Mapping

from auction.domain.ids import CallId, OwnerId
from auction.domain.usage import Usage
from auction.ports import StorageUnavailableError
from storage.database import Database
from storage.lapsing import Lapsed, sweep_locked
from storage.locked import RowsLockedError, find_locked, impatient
from storage.outbox import SILENT, Outbox
from storage.progress import EarnedListener, ignore_earned
from storage.queries import query
from storage.retries import retrying

_PLAN_BY_KEYS = query("plan_by_keys")
_LOCK_DUE = query("lock_due")
_LOCK = query("lock_reported")
_DUE = query("due_calls")
_POSTPONE = query("postpone_sweep")

logger = logging.getLogger(__name__)


class Sweeper:
    """Releases holds whose lease is over; any number of processes may run one.

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
        batch: int = 200,
    ) -> None:
        self._database = database
        self._on_usage = on_usage
        self._on_earned = on_earned
        self._outbox = outbox
        self._batch = batch

    async def run(self, every_s: float = 1.0) -> None:
        """Sweep until cancelled; a database that is away is waited for."""
        while True:
            try:
                await self.sweep()
            except StorageUnavailableError as error:
                logger.warning("A sweep failed: %s", error, extra={"action": "sweep"})
            except Exception:
                # A sweeper that ended would never free a slot again.
                logger.exception("A sweep failed", extra={"action": "sweep"})
            await asyncio.sleep(every_s)

    async def sweep(self) -> int:
        """Release all that is due now and return how many holds that were."""
        released = 0
        while True:
            done = await self._next()
            released += done.released
            if done.looked_at < self._batch:
                return released

    async def _next(self) -> Lapsed:
        try:
            done = await retrying(self._due)
        except StorageUnavailableError:
            raise
        except RowsLockedError:
            return await self._apart()
        except Exception:
            logger.exception("A sweep failed, call by call now", extra={"action": "sweep"})
            return await self._apart()
        # What a listener raises is not the fault of a call.
        return self._told(done)

    async def _due(self) -> Lapsed:
        async with impatient(self._database.transaction()) as connection:
            await connection.execute(_PLAN_BY_KEYS)
            rows = await connection.fetch(_LOCK_DUE, self._batch)
            return await sweep_locked(connection, rows, self._outbox)

    async def _apart(self) -> Lapsed:
        """Call by call, so that one that can't be swept keeps nobody else's slot."""
        async with self._database.transaction() as connection:
            await connection.execute(_PLAN_BY_KEYS)
            call_ids = [row["call_id"] for row in await connection.fetch(_DUE, self._batch)]
        locked = (await find_locked(self._database, call_ids)).calls
        total = Lapsed()
        for call_id in call_ids:
            if call_id not in locked:
                done = self._told(await self._one(call_id))
                total.looked_at += max(done.looked_at, 1)
                total.released += done.released
        return total

    async def _one(self, call_id: CallId) -> Lapsed:
        try:
            return await retrying(lambda: self._alone(call_id))
        except StorageUnavailableError:
            raise
        except RowsLockedError:
            return Lapsed()
        except Exception:
            logger.exception(
                "A call can't be swept", extra={"action": "sweep_call", "call_id": call_id}
            )
        async with self._database.connection() as connection:
            await connection.execute(_POSTPONE, call_id)
        return Lapsed()

    async def _alone(self, call_id: CallId) -> Lapsed:
        async with impatient(self._database.transaction()) as connection:
            rows = await connection.fetch(_LOCK, [call_id])
            return await sweep_locked(connection, rows, self._outbox)

    def _told(self, done: Lapsed) -> Lapsed:
        done.tell(self._on_usage, self._on_earned)
        return done
