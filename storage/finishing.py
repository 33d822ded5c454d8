"""Storing decisions: the third step, many calls in one statement."""

from collections.abc import Callable, Mapping, Sequence
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
from storage.queries import query
from storage.retries import retrying

_FINISH = query("finish_calls")
_LOCK = query("lock_deciding")

_COLUMNS: Final = 16


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
        rows = await retrying(lambda: self._finish(by_call))
        holding = {
            call_id: finish
            for call_id, finish in by_call.items()
            if finish.candidate is None and rows[call_id]["holds"]
        }
        if holding:
            rows |= await retrying(lambda: self._give_back(holding))
        return [_result(rows[finish.call.call_id], finish, by_call) for finish in finishes]

    async def _finish(self, finishes: Mapping[CallId, Finish]) -> dict[CallId, asyncpg.Record]:
        async with self._database.connection() as connection:
            return await _store(connection, finishes)

    async def _give_back(self, finishes: Mapping[CallId, Finish]) -> dict[CallId, asyncpg.Record]:
        """Decisions without a route for calls that still hold something."""
        async with self._database.transaction() as connection:
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


async def _store(
    connection: Connection, finishes: Mapping[CallId, Finish]
) -> dict[CallId, asyncpg.Record]:
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
    row: asyncpg.Record, finish: Finish, stored: Mapping[CallId, Finish]
) -> FinishResult | Exception:
    if row["stored"]:
        first = stored[finish.call.call_id]
        return Finished() if first is finish else Superseded(first.answer)
    if row["epoch"] is None:
        return StorageUnavailableError("the call was not kept when the database died")
    ours = row["epoch"] == finish.epoch and row["state"] == CallState.DECIDING.value
    if ours and not row["fits"]:
        return InvariantViolatedError("a route without its hold")
    return Superseded(row["answer"])
