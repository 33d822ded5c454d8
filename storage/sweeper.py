"""Gives back what is held by calls whose lease is over."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from auction.domain.ids import CallId, OwnerId
from auction.domain.lifecycle import CallState, Happening, Progress, transition
from auction.domain.usage import Usage
from auction.ports import StorageUnavailableError
from storage.books import Books, lock_books
from storage.database import Connection, Database
from storage.holds import Hold, HoldState
from storage.locked import RowsLockedError, find_locked, impatient
from storage.progress import (
    CallRow,
    Earned,
    EarnedListener,
    ignore_earned,
    is_billed,
    load_call,
    tell_earned,
    write_progress,
)
from storage.queries import query
from storage.retries import retrying
from storage.settling import lapse

_PLAN_BY_KEYS = query("plan_by_keys")
_LOCK_DUE = query("lock_due")
_LOCK = query("lock_reported")
_DUE = query("due_calls")
_POSTPONE = query("postpone_sweep")

DECIDER_GRACE: Final = timedelta(seconds=5)
"""How long past its decide-by time a decider may still store what it holds."""

MOST_EPOCH: Final = 2**31 - 1

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Round:
    """One transaction over calls that are due."""

    now: datetime
    books: Books
    looked_at: int = 0
    released: int = 0
    moved: dict[CallId, CallRow] = field(default_factory=dict)
    earned: list[Earned] = field(default_factory=list)

    def sweep(self, call: CallRow) -> None:
        """Look at a call's holds that are due."""
        for hold in self.books.holds_of(call.call_id):
            if hold.sweep_at is None or hold.sweep_at > self.now:
                continue
            self.looked_at += 1
            lease_until = _lease_until(hold, call)
            if lease_until > self.now:
                self.books.put(replace(hold, lease_until=lease_until, sweep_at=lease_until))
            else:
                self._release(call, hold)

    def _release(self, call: CallRow, hold: Hold) -> None:
        progress = _progress_of(call, hold)
        settled = lapse(hold, progress, billed=is_billed(call, self.books), now=self.now)
        self.books.put(settled.hold)
        self.released += 1
        if settled.conversion is not None:
            self.earned.append(Earned(call, hold.attempt, settled.conversion, self.now, None))
        if hold.state is HoldState.HELD:
            self._supersede(call)
        elif hold.attempt == call.progress.attempt:
            self._lose(call)

    def _supersede(self, call: CallRow) -> None:
        """Its decider must not finish with what it holds no more."""
        if call.progress.state is CallState.DECIDING:
            self.moved[call.call_id] = replace(call, epoch=call.epoch % MOST_EPOCH + 1)

    def _lose(self, call: CallRow) -> None:
        step = transition(call.progress.state, Happening.LEASE_EXPIRED)
        if step is not None:
            progress = replace(call.progress, state=step.state)
            self.moved[call.call_id] = replace(call, progress=progress)


class Sweeper:
    """Releases holds whose lease is over; any number of processes may run one.

    After each commit ``on_usage`` is told the usage seen and ``on_earned`` what was earned.
    """

    def __init__(
        self,
        database: Database,
        on_usage: Callable[[Mapping[OwnerId, Usage]], None] = lambda _: None,
        *,
        on_earned: EarnedListener = ignore_earned,
        batch: int = 200,
    ) -> None:
        self._database = database
        self._on_usage = on_usage
        self._on_earned = on_earned
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

    async def _next(self) -> "_Done":
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

    async def _due(self) -> "_Done":
        async with impatient(self._database.transaction()) as connection:
            await connection.execute(_PLAN_BY_KEYS)
            return await _sweep(connection, await connection.fetch(_LOCK_DUE, self._batch))

    async def _apart(self) -> "_Done":
        """Call by call, so that one that can't be swept keeps nobody else's slot."""
        async with self._database.transaction() as connection:
            await connection.execute(_PLAN_BY_KEYS)
            call_ids = [row["call_id"] for row in await connection.fetch(_DUE, self._batch)]
        locked = (await find_locked(self._database, call_ids)).calls
        total = _Done()
        for call_id in call_ids:
            if call_id not in locked:
                done = self._told(await self._one(call_id))
                total.looked_at += max(done.looked_at, 1)
                total.released += done.released
        return total

    async def _one(self, call_id: CallId) -> "_Done":
        try:
            return await retrying(lambda: self._alone(call_id))
        except StorageUnavailableError:
            raise
        except RowsLockedError:
            return _Done()
        except Exception:
            logger.exception(
                "A call can't be swept", extra={"action": "sweep_call", "call_id": call_id}
            )
        async with self._database.connection() as connection:
            await connection.execute(_POSTPONE, call_id)
        return _Done()

    async def _alone(self, call_id: CallId) -> "_Done":
        async with impatient(self._database.transaction()) as connection:
            return await _sweep(connection, await connection.fetch(_LOCK, [call_id]))

    def _told(self, done: "_Done") -> "_Done":
        if done.usage:
            self._on_usage(done.usage)
        tell_earned(done.earned, self._on_earned)
        return done


@dataclass(slots=True)
class _Done:
    """What a transaction has stored."""

    looked_at: int = 0
    released: int = 0
    usage: Mapping[OwnerId, Usage] = field(default_factory=dict)
    earned: list[Earned] = field(default_factory=list)


async def _sweep(connection: Connection, rows: Sequence[asyncpg.Record]) -> _Done:
    """Release what is over of calls that are locked."""
    if not rows:
        return _Done()
    calls = [load_call(row) for row in rows]
    books = await lock_books(connection, [call.call_id for call in calls])
    done = _Round(rows[0]["now"], books)
    for call in calls:
        done.sweep(call)
    await books.write(connection)
    earned = await write_progress(connection, done.moved.values(), done.earned)
    return _Done(done.looked_at, done.released, books.usage, earned)


def _lease_until(hold: Hold, call: CallRow) -> datetime:
    """A decider keeps its hold a little longer than nobody else may decide the call."""
    if hold.state is HoldState.HELD and call.progress.state is CallState.DECIDING:
        return max(hold.lease_until, call.decide_by + DECIDER_GRACE)
    return hold.lease_until


def _progress_of(call: CallRow, hold: Hold) -> Progress:
    """How far an attempt has come; the call's own facts are those of the current one."""
    if hold.attempt == call.progress.attempt:
        return call.progress
    return Progress(call.progress.state, call.progress.started_at, hold.attempt, hold.answered_at)
