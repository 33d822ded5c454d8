"""All that is kept of one caller: found, and taken away."""

from collections.abc import Sequence
from typing import Final

from auction.domain.ids import CallId
from storage.database import Connection, Database
from storage.erasing import Erase, Erased, erase
from storage.locked import impatient
from storage.queries import query
from storage.retries import retrying

_CALLS = query("calls_of_caller")

AT_ONCE: Final = 200
_BEFORE_ALL: Final = CallId("")


class CallerData:
    """By the keyed hash of the caller's number. All raise StorageUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def calls(self, caller_hash: bytes, after: CallId | None, limit: int) -> Sequence[CallId]:
        """The caller's calls in order of their ids, from after one of them."""
        async with self._database.connection() as connection:
            return await _calls(connection, caller_hash, after or _BEFORE_ALL, limit)

    async def erase(self, caller_hash: bytes) -> Erased:
        """Take away what tells of the caller, a batch at a time; what was done stays done."""
        total, place = Erased(), _BEFORE_ALL
        while True:
            call_ids, erased = await self._erase_some(caller_hash, place)
            if not call_ids:
                return total
            total.add(erased)
            place = call_ids[-1]

    async def _erase_some(
        self, caller_hash: bytes, after: CallId
    ) -> tuple[Sequence[CallId], Erased]:
        async def once() -> tuple[Sequence[CallId], Erased]:
            async with impatient(self._database.transaction()) as connection:
                call_ids = await _calls(connection, caller_hash, after, AT_ONCE)
                erased = await erase(connection, Erase.PII, call_ids) if call_ids else Erased()
            return call_ids, erased

        return await retrying(once)


async def _calls(
    connection: Connection, caller_hash: bytes, after: CallId, limit: int
) -> Sequence[CallId]:
    rows = await connection.fetch(_CALLS, caller_hash, after, limit)
    return [row["call_id"] for row in rows]
