"""Storing decisions: the third step, many calls in one statement."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Final

import asyncpg

from auction.domain.decision import Action, Finish, Finished, FinishResult, Superseded
from auction.domain.ids import CallId, OwnerId
from auction.domain.lifecycle import CallState
from auction.domain.usage import Usage
from auction.ports import InvariantViolatedError, StorageUnavailableError
from storage.books import columns, lock_books
from storage.database import Connection, Database
from storage.holds import HoldState
from storage.locked import find_locked, impatient, sparing_locked
from storage.queries import query

_FINISH = query("finish_calls")
_LOCK = query("lock_deciding")

_COLUMNS: Final = 16

_Rows = dict[CallId, asyncpg.Record | Exception]


class Finishing:
    """Runs batches of decisions. ``on_usage`` is told the usage that a decision gave back to."""

    def __init__(
        self, database: Database, on_usage: Callable[[Mapping[OwnerId, Usage]], None]
    ) -> None:
        self._database = database
        self._on_usage = on_usage

    async def run(self, finishes: Sequence[Finish]) -> Sequence[FinishResult | Exception]:
        """One result per decision; of several for the same call the first is stored."""
        by_call: dict[CallId, Finish] = {}
        for finish in finishes:
            by_call.setdefault(finish.call.call_id, finish)
        rows = await self._sparing(by_call, self._finish)
        holding = {
            call_id: finish
            for call_id, finish in by_call.items()
            if finish.candidate is None and _holds(rows[call_id])
        }
        rows |= await self._give_back_all(holding)
        return [_result(rows[finish.call.call_id], finish, by_call) for finish in finishes]

    async def _sparing(
        self,
        finishes: Mapping[CallId, Finish],
        work: Callable[[Mapping[CallId, Finish]], Awaitable[_Rows]],
    ) -> _Rows:
        async def run(call_ids: Collection[CallId]) -> _Rows:
            return await work({call_id: finishes[call_id] for call_id in call_ids})

        async def stuck(call_ids: Collection[CallId]) -> Collection[CallId]:
            return (await find_locked(self._database, call_ids)).calls

        return {**await sparing_locked(finishes, run, stuck)}

    async def _finish(self, finishes: Mapping[CallId, Finish]) -> _Rows:
        async with impatient(self._database.connection()) as connection:
            return await _store(connection, finishes)

    async def _give_back_all(self, finishes: Mapping[CallId, Finish]) -> _Rows:
        # Other decisions of the batch are stored already: what fails here must not fail them.
        try:
            return await self._sparing(finishes, self._give_back)
        except StorageUnavailableError as error:
            return dict.fromkeys(finishes, error)
        except Exception as error:  # noqa: BLE001 - each of these may be the one to blame
            if len(finishes) == 1:
                return dict.fromkeys(finishes, error)
        rows: _Rows = {}
        for call_id, finish in finishes.items():
            rows |= await self._give_back_all({call_id: finish})
        return rows

    async def _give_back(self, finishes: Mapping[CallId, Finish]) -> _Rows:
        """Decisions without a route for calls that still hold something."""
        async with impatient(self._database.transaction()) as connection:
            calls = await connection.fetch(_LOCK, sorted(finishes))
            books = await lock_books(connection, finishes)
            for call in calls:
                finish = finishes[call["call_id"]]
                hold = books.hold(finish.call.call_id, finish.attempt)
                ours = call["epoch"] == finish.epoch and call["state"] == CallState.DECIDING.value
                if ours and hold is not None and hold.state is HoldState.HELD:
                    books.put(hold.given_back())
            await books.write(connection)
            rows = await _store(connection, finishes)
        self._on_usage(books.usage)
        return rows


def _holds(row: asyncpg.Record | Exception) -> bool:
    return not isinstance(row, Exception) and bool(row["holds"])


async def _store(connection: Connection, finishes: Mapping[CallId, Finish]) -> _Rows:
    arrays = columns([_row(finishes[call_id]) for call_id in sorted(finishes)], _COLUMNS)
    return {row["call_id"]: row for row in await connection.fetch(_FINISH, *arrays)}


def _row(finish: Finish) -> Sequence[Any]:
    won = finish.candidate
    return (
        finish.call.call_id,
        finish.epoch,
        finish.attempt,
        _state(finish).value,
        finish.answer,
        finish.trace,
        None if won is None else won.routed_by.value,
        None if won is None else won.offer,
        None if won is None else won.buyer,
        None if won is None else won.price,
        finish.currency,
        finish.reason,
        finish.binding,
        finish.lease_ms,
        finish.answered_lease_ms,
        finish.collected_lease_ms,
    )


def _state(finish: Finish) -> CallState:
    if finish.action is Action.NO_ROUTE:
        return CallState.NO_ROUTE
    return CallState.LATE if finish.late else CallState.ROUTED


def _result(
    row: asyncpg.Record | Exception, finish: Finish, stored: Mapping[CallId, Finish]
) -> FinishResult | Exception:
    if isinstance(row, Exception):
        return row
    if row["stored"]:
        first = stored[finish.call.call_id]
        return Finished() if first is finish else Superseded(first.answer)
    if row["epoch"] is None:
        return StorageUnavailableError("the call was not kept when the database died")
    ours = row["epoch"] == finish.epoch and row["state"] == CallState.DECIDING.value
    if ours and not row["fits"]:
        return InvariantViolatedError("a route without its hold")
    return Superseded(row["answer"])
