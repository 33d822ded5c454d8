"""Storing decisions: the third step, many calls in one statement."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TypeAlias

import asyncpg

from auction.domain.finishing import Finish, Finished, FinishResult
from auction.domain.ids import CallId, OwnerId
from auction.domain.reserving import Superseded
from auction.domain.usage import Usage
from auction.ports import InvariantViolatedError, StorageUnavailableError
from storage.books import lock_books
from storage.database import Database
from storage.decisions import Rows, is_awaited, store_decisions
from storage.holds import HoldState
from storage.locked import find_locked, impatient, sparing_locked
from storage.outbox import SILENT, Outbox
from storage.progress import EarnedListener, ignore_earned
from storage.queries import query
from storage.routing import Routing
from storage.routing_pass import has_consequences

_LOCK = query("lock_deciding")

_Finishes: TypeAlias = Mapping[CallId, Finish]


class Finishing:
    """Runs batches of decisions.

    All decisions of a batch are stored by one statement, but for those about further attempts and
    those of whose route something follows at once: money, or news for a webhook. After a commit
    ``on_usage`` is told the usage that was seen and ``on_earned`` what buyers' attempt conversions
    have earned.
    """

    def __init__(
        self,
        database: Database,
        on_usage: Callable[[Mapping[OwnerId, Usage]], None],
        outbox: Outbox = SILENT,
        on_earned: EarnedListener = ignore_earned,
    ) -> None:
        self._database = database
        self._on_usage = on_usage
        self._outbox = outbox
        self._routing = Routing(database, outbox, on_usage, on_earned)

    async def run(self, finishes: Sequence[Finish]) -> Sequence[FinishResult | Exception]:
        """One result per decision; of several for the same call the first is stored."""
        by_call: dict[CallId, Finish] = {}
        for finish in finishes:
            by_call.setdefault(finish.call.call_id, finish)
        telling = {
            call_id: finish
            for call_id, finish in by_call.items()
            if has_consequences(finish, self._outbox)
        }
        plain = {call_id: by_call[call_id] for call_id in by_call if call_id not in telling}
        first = {call_id: plain[call_id] for call_id in plain if plain[call_id].attempt == 1}
        later = {call_id: plain[call_id] for call_id in plain if call_id not in first}
        rows = await self._sparing(first, self._finish)
        rows |= await self._apart(later, self._finish_all_later)
        holding = {
            call_id: finish
            for call_id, finish in plain.items()
            if finish.candidate is None and _holds(rows[call_id])
        }
        rows |= await self._apart(telling, self._route_all)
        rows |= await self._apart(holding, self._give_back_all)
        return [_result(rows[finish.call.call_id], finish, by_call) for finish in finishes]

    async def _sparing(
        self,
        finishes: _Finishes,
        work: Callable[[_Finishes], Awaitable[Rows]],
        callers: Mapping[CallId, int] | None = None,
    ) -> Rows:
        """What comes of all but those that need a locked row; ``callers`` may be such rows too."""
        keys = {} if callers is None else callers

        async def run(call_ids: Collection[CallId]) -> Rows:
            return await work({call_id: finishes[call_id] for call_id in call_ids})

        async def stuck(call_ids: Collection[CallId]) -> Collection[CallId]:
            wanted = {call_id: keys[call_id] for call_id in call_ids if call_id in keys}
            locked = await find_locked(self._database, call_ids, callers=wanted.values())
            return locked.calls | {each for each in wanted if wanted[each] in locked.callers}

        return {**await sparing_locked(finishes, run, stuck)}

    async def _finish(self, finishes: _Finishes) -> Rows:
        async with impatient(self._database.connection()) as connection:
            return await store_decisions(connection, finishes)

    async def _apart(
        self, finishes: _Finishes, work: Callable[[_Finishes], Awaitable[Rows]]
    ) -> Rows:
        if not finishes:
            return {}
        # Other decisions of the batch are stored already: what fails here must not fail them.
        try:
            return await work(finishes)
        except StorageUnavailableError as error:
            return dict.fromkeys(finishes, error)
        except Exception as error:  # noqa: BLE001 - each of these may be the one to blame
            if len(finishes) == 1:
                return dict.fromkeys(finishes, error)
        rows: Rows = {}
        for call_id, finish in finishes.items():
            rows |= await self._apart({call_id: finish}, work)
        return rows

    async def _route_all(self, finishes: _Finishes) -> Rows:
        """Decisions of whose routes something follows."""
        callers: dict[CallId, int] = {}

        async def route(some: _Finishes) -> Rows:
            return await self._routing.run(some, callers)

        return await self._sparing(finishes, route, callers)

    async def _finish_all_later(self, finishes: _Finishes) -> Rows:
        """Decisions about further attempts: an earlier one may be sold at the same time."""
        return await self._sparing(finishes, self._finish_later)

    async def _finish_later(self, finishes: _Finishes) -> Rows:
        async with impatient(self._database.transaction()) as connection:
            # What is booked is read by a statement that begins once nobody can add to it.
            await connection.fetch(_LOCK, sorted(finishes))
            return await store_decisions(connection, finishes)

    async def _give_back_all(self, finishes: _Finishes) -> Rows:
        """Decisions without a route for calls that still hold something."""
        return await self._sparing(finishes, self._give_back)

    async def _give_back(self, finishes: _Finishes) -> Rows:
        async with impatient(self._database.transaction()) as connection:
            calls = await connection.fetch(_LOCK, sorted(finishes))
            books = await lock_books(connection, finishes)
            for call in calls:
                finish = finishes[call["call_id"]]
                hold = books.hold(finish.call.call_id, finish.attempt)
                if is_awaited(call, finish) and hold is not None and hold.state is HoldState.HELD:
                    books.put(hold.given_back())
            await books.write(connection)
            rows = await store_decisions(connection, finishes)
        self._on_usage(books.usage)
        return rows


def _holds(row: asyncpg.Record | Exception) -> bool:
    return not isinstance(row, Exception) and bool(row["holds"])


def _result(
    row: asyncpg.Record | Exception, finish: Finish, stored: _Finishes
) -> FinishResult | Exception:
    if isinstance(row, Exception):
        return row
    if row["stored"]:
        first = stored[finish.call.call_id]
        return Finished() if first is finish else Superseded(first.answer)
    if row["epoch"] is None:
        return StorageUnavailableError("the call was not kept when the database died")
    if is_awaited(row, finish) and not row["fits"]:
        return InvariantViolatedError("a route without its hold")
    return Superseded(row["answer"])
