"""What is kept of a call, read back."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Final

import asyncpg
import orjson

from auction.domain.call import Call
from auction.domain.call_list import RecordedEntry
from auction.domain.call_record import AttemptRecord, CallRecord
from auction.domain.conversions import Entry, EntryKind, Side
from auction.domain.ids import CallId, OwnerId
from auction.domain.opening import PastCall
from auction.domain.plan import RoutedBy
from auction.domain.terms import Trigger
from auction.domain.usage import Usage
from storage.calls_read import unsealed_row
from storage.database import Connection, Database
from storage.past_calls import load_routes
from storage.queries import query
from storage.readings import read_ledger
from storage.turns import a_turn
from storage.vault import CallerVault

_READ_CALL = query("read_call")
_READ_ENTRIES = query("read_entries")
AT_ONCE: Final = 2
"""How many reads use a connection at the same time."""

PATIENCE_S: Final = 2.0
"""How long a read waits for its turn."""

_TOO_MANY: Final = "too many are reading calls"
_FIRST_ATTEMPT: Final = 1
_NOTHING: Final = Decimal(0)


class CallRecords:
    """Reads calls back, a few at a time: most connections are for deciding calls."""

    def __init__(self, database: Database, vault: CallerVault, at_once: int = AT_ONCE) -> None:
        self._database = database
        self._vault = vault
        self._free = asyncio.Semaphore(at_once)

    async def get_call(self, call_id: CallId) -> CallRecord | None:
        """All that is kept of a call, None when it is unknown. Raises StorageUnavailableError."""
        async with self.connection() as connection:
            row = await connection.fetchrow(_READ_CALL, call_id)
        if row is None:
            return None
        traces = dict(zip(row["trace_attempts"] or (), row["traces"] or (), strict=True))
        return self._record(
            row,
            past_calls=load_routes(row["routes"]),
            trace=traces.pop(_FIRST_ATTEMPT, None),
            later_traces=tuple(traces.items()),
        )

    async def get_entries(self, call_id: CallId) -> tuple[RecordedEntry, ...]:
        """The lines of a call's money ledger in their order. Raises StorageUnavailableError."""
        async with self.connection() as connection:
            rows = await connection.fetch(_READ_ENTRIES, call_id)
        return tuple(_entry(row) for row in rows)

    async def all_usage(self) -> Mapping[OwnerId, Usage]:
        """The usage of every owner that has any, as stored now. Raises StorageUnavailableError."""
        async with a_turn(self._free, PATIENCE_S, _TOO_MANY):
            return (await read_ledger(self._database)).usage

    @asynccontextmanager
    async def connection(self, patience_s: float | None = None) -> AsyncIterator[Connection]:
        """A connection to read by, when it is one's turn within ``patience_s`` seconds.

        Raises StorageUnavailableError.
        """
        patience_s = PATIENCE_S if patience_s is None else patience_s
        turn = a_turn(self._free, patience_s, _TOO_MANY)
        async with turn, self._database.connection() as connection:
            yield connection

    def listed(self, row: asyncpg.Record) -> CallRecord:
        """A call from a row of a list, which has neither traces nor earlier routes."""
        return self._record(row, past_calls=(), trace=None, later_traces=())

    def listed_call(self, row: asyncpg.Record) -> Call:
        """A call as it came in, from a row of ``calls``."""
        return self._call(row)

    def _record(
        self,
        row: asyncpg.Record,
        *,
        past_calls: tuple[PastCall, ...],
        trace: bytes | None,
        later_traces: tuple[tuple[int, bytes], ...],
    ) -> CallRecord:
        routed_by = row["routed_by"]
        return CallRecord(
            call=self._call(row),
            campaign=row["campaign"],
            revision=row["revision"],
            state=row["state"],
            reason=row["reason"],
            routed_by=None if routed_by is None else RoutedBy(routed_by),
            buyer=row["buyer"],
            offer=row["offer"],
            price=row["price"],
            currency=row["currency"],
            answered_at=row["shown_answered_at"],
            ended_at=row["shown_ended_at"],
            total_duration_s=row["total_duration_s"],
            connected_duration_s=row["shown_connected_duration_s"],
            ended_by=row["ended_by"],
            converted=row["converted_by"] is not None,
            conversion_trigger=row["converted_by"],
            revenue=row["revenue"] or _NOTHING,
            payout=row["payout"] or _NOTHING,
            past_calls=past_calls,
            attempts=_attempts(row["attempts"]),
            trace=trace,
            later_traces=later_traces,
        )

    def _call(self, row: asyncpg.Record) -> Call:
        unsealed = unsealed_row(row, self._vault)
        return Call(
            call_id=row["call_id"],
            campaign=row["named_campaign"],
            dialed_number=row["dialed_number"],
            caller=unsealed.caller,
            source=row["source"],
            fields=unsealed.fields,
            received_at=row["received_at"],
            timeout_ms=row["timeout_ms"],
            test=row["test"],
            switch=row["switch"],
            quality=row["quality"],
        )


def _attempts(stored: str | None) -> tuple[AttemptRecord, ...]:
    rows = [] if stored is None else orjson.loads(stored)
    return tuple(
        AttemptRecord(attempt, offer, RoutedBy(routed_by), Decimal(price), outcome, reason)
        for attempt, offer, routed_by, price, outcome, reason in rows
    )


def _entry(row: asyncpg.Record) -> RecordedEntry:
    entry = Entry(
        call_id=row["call_id"],
        side=Side(row["side"]),
        attempt=row["attempt"],
        kind=EntryKind(row["kind"]),
        trigger=Trigger(row["trigger"]),
        amount=row["amount"],
        change=row["change"],
        at=row["at"],
        actor=row["actor"],
        event_id=row["event_id"],
        note=row["note"],
        beyond_hold=row["beyond_hold"],
    )
    return RecordedEntry(entry, row["recorded_at"])
