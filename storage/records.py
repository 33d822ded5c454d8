"""What is kept of a call, read back."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Final

import asyncpg
import orjson

from auction.domain.call import Call
from auction.domain.decision import AttemptRecord, CallRecord, RoutedBy
from auction.domain.ids import CallId, OwnerId
from auction.domain.usage import Usage
from auction.ports import StorageUnavailableError
from storage.database import Database
from storage.past_calls import load_routes
from storage.queries import query
from storage.readings import read_ledger
from storage.vault import CallerVault

_READ_CALL = query("read_call")
AT_ONCE: Final = 2
"""How many reads use a connection at the same time."""

PATIENCE_S: Final = 2.0
"""How long a read waits for its turn."""

_NOTHING: Final = Decimal(0)


class CallRecords:
    """Reads calls back, a few at a time: most connections are for deciding calls."""

    def __init__(self, database: Database, vault: CallerVault, at_once: int = AT_ONCE) -> None:
        self._database = database
        self._vault = vault
        self._free = asyncio.Semaphore(at_once)

    async def get_call(self, call_id: CallId) -> CallRecord | None:
        """All that is kept of a call, None when it is unknown. Raises StorageUnavailableError."""
        async with self._turn(), self._database.connection() as connection:
            row = await connection.fetchrow(_READ_CALL, call_id)
        return None if row is None else self._record(row)

    async def all_usage(self) -> Mapping[OwnerId, Usage]:
        """The usage of every owner that has any, as stored now. Raises StorageUnavailableError."""
        async with self._turn():
            return (await read_ledger(self._database)).usage

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._free.acquire()
        except TimeoutError:
            raise StorageUnavailableError("too many are reading calls") from None
        try:
            yield
        finally:
            self._free.release()

    def _record(self, row: asyncpg.Record) -> CallRecord:
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
            answered_at=row["answered_at"],
            ended_at=row["ended_at"],
            total_duration_s=row["total_duration_s"],
            connected_duration_s=row["connected_duration_s"],
            ended_by=row["ended_by"],
            converted=row["converted_by"] is not None,
            conversion_trigger=row["converted_by"],
            revenue=row["revenue"] or _NOTHING,
            payout=row["payout"] or _NOTHING,
            past_calls=load_routes(row["routes"]),
            attempts=_attempts(row["attempts"]),
            trace=row["trace"],
        )

    def _call(self, row: asyncpg.Record) -> Call:
        unsealed = self._vault.open(row["sealed"], row["call_id"])
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
        )


def _attempts(stored: str | None) -> tuple[AttemptRecord, ...]:
    rows = [] if stored is None else orjson.loads(stored)
    return tuple(
        AttemptRecord(attempt, offer, RoutedBy(routed_by), Decimal(price), outcome)
        for attempt, offer, routed_by, price, outcome in rows
    )
