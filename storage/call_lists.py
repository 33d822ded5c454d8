"""Calls listed page by page, newest first; each page is one short read of an index range."""

import asyncio
from datetime import UTC, datetime
from typing import Final

import asyncpg

from auction.domain.call_list import CallFilter, CallPage, CallPlace
from auction.domain.call_record import CallRecord
from auction.domain.ids import CallId
from storage.queries import query
from storage.records import CallRecords

_HORIZON = query("list_horizon")
_LIST = query("list_calls")

LOOKED_AT: Final = 5_000
"""How many calls one statement looks at: it is over in milliseconds however few are asked for."""

LOOKS: Final = 200
"""After so many statements a page is handed out with what was found by then."""

AT_A_TIME: Final = 32
"""How many rows are read in one go: calls that are being decided go between."""

_EARLIEST: Final = datetime(1, 1, 2, tzinfo=UTC)
_LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC)
_FIRST: Final = CallId("")


class CallLists:
    """Lists calls; takes turns with all who read calls, page by page."""

    def __init__(self, records: CallRecords) -> None:
        self._records = records

    async def list_calls(
        self,
        wanted: CallFilter,
        after: CallPlace | None,
        limit: int,
        *,
        patience_s: float | None = None,
    ) -> CallPage:
        """The first ``limit`` calls that are wanted, older than ``after``.

        ``patience_s``: how long each statement may wait for its turn. Going on from page to page
        finds each call once, while others come in. Raises StorageUnavailableError.
        """
        place = after or CallPlace(wanted.until or _LATEST, _FIRST)
        if wanted.until is not None and place.received_at >= wanted.until:
            place = CallPlace(wanted.until, _FIRST)
        calls: list[CallRecord] = []
        further: CallPlace | None = place
        for _ in range(LOOKS):
            if further is None or len(calls) == limit:
                break
            rows, further = await self._look(wanted, further, limit - len(calls), patience_s)
            calls += await self._read(rows)
        return CallPage(tuple(calls), further)

    async def _look(
        self, wanted: CallFilter, place: CallPlace, limit: int, patience_s: float | None
    ) -> tuple[list[asyncpg.Record], CallPlace | None]:
        """What is wanted of the calls next to a place, and where to go on."""
        upper = (place.received_at, place.call_id)
        lower = (wanted.since or _EARLIEST, _FIRST)
        async with self._records.connection(patience_s) as connection:
            # Asked first: what comes in between the statements is found once or not at all.
            horizon = await connection.fetchrow(_HORIZON, *lower, *upper, LOOKED_AT)
            lower = lower if horizon is None else (horizon["received_at"], horizon["call_id"])
            rows = await connection.fetch(_LIST, *lower, *upper, *_values(wanted), limit + 1)
        if len(rows) > limit:
            return rows[:limit], _place(rows[limit - 1])
        return rows, None if horizon is None else _place(horizon)

    async def _read(self, rows: list[asyncpg.Record]) -> list[CallRecord]:
        calls: list[CallRecord] = []
        for start in range(0, len(rows), AT_A_TIME):
            calls += [self._records.listed(row) for row in rows[start : start + AT_A_TIME]]
            await asyncio.sleep(0)
        return calls


def _values(wanted: CallFilter) -> tuple[str | bool | None, ...]:
    return (
        wanted.campaign,
        wanted.offer,
        wanted.buyer,
        wanted.source,
        None if wanted.outcome is None else wanted.outcome.value,
        wanted.test,
        wanted.seen_by,
    )


def _place(row: asyncpg.Record) -> CallPlace:
    return CallPlace(row["received_at"], row["call_id"])
