"""Decisions as rows: one statement stores many, and says of each what it found."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import asyncpg

from auction.domain.finishing import Action, Finish
from auction.domain.ids import CallId
from auction.domain.lifecycle import CallState
from storage.arrays import text_columns
from storage.database import Connection
from storage.queries import query

_FINISH = query("finish_calls")

_COLUMNS: Final = (15, 2)
_UNDECIDED: Final = frozenset({CallState.DECIDING.value, CallState.REROUTING.value})

Rows: TypeAlias = dict[CallId, asyncpg.Record | Exception]
"""What ``finish_calls`` says of each call, or why it could not be asked."""


async def store_decisions(connection: Connection, finishes: Mapping[CallId, Finish]) -> Rows:
    """Store the decisions of those whose turn it is; a route needs its hold."""
    arrays = text_columns([_row(finishes[call_id]) for call_id in sorted(finishes)], *_COLUMNS)
    return {row["call_id"]: row for row in await connection.fetch(_FINISH, *arrays)}


def is_stored(row: asyncpg.Record | Exception) -> bool:
    """Whether this very decision is stored."""
    return not isinstance(row, Exception) and bool(row["stored"])


def is_awaited(call: asyncpg.Record, finish: Finish) -> bool:
    """Whether the call waits for this decision: the first, or the next after a failed attempt."""
    return bool(call["epoch"] == finish.epoch and call["state"] in _UNDECIDED)


def _row(finish: Finish) -> Sequence[Any]:
    won = finish.candidate
    return (
        finish.call.call_id,
        finish.epoch,
        finish.attempt,
        _state(finish).value,
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
        finish.call.quality,
        finish.answer,
        finish.trace,
    )


def _state(finish: Finish) -> CallState:
    if finish.action is Action.NO_ROUTE:
        return CallState.NO_ROUTE
    return CallState.LATE if finish.late else CallState.ROUTED
