"""All that is kept of one caller: found, and taken away."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from auction.domain.ids import CallId
from storage.audit import COMMAND, Actor, add_note
from storage.blocklists import erase_from_blocklists
from storage.database import Connection, Database
from storage.erasing import Erase, Erased, erase
from storage.locked import impatient
from storage.queries import query
from storage.retries import retrying

_CALLS = query("calls_of_caller")

AT_ONCE: Final = 200
_TOLD_BYTES: Final = 8
_BEFORE_ALL: Final = CallId("")


class CallerData:
    """By the keyed hash of the caller's number. All raise StorageUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def calls(self, caller_hash: bytes, after: CallId | None, limit: int) -> Sequence[CallId]:
        """The caller's calls in order of their ids, from after one of them."""
        async with self._database.connection() as connection:
            return await _calls(connection, caller_hash, after or _BEFORE_ALL, limit)

    async def erase(self, number: str, caller_hash: bytes, by: Actor = COMMAND) -> Erased:
        """Take away what tells of the caller, a batch at a time; what was done stays done.

        It is noted under the beginning of the hash, by which who knows the number finds it.
        """
        total, place = Erased(), _BEFORE_ALL
        while True:
            call_ids, erased = await self._erase_some(caller_hash, place)
            if not call_ids:
                break
            total.add(erased)
            place = call_ids[-1]
        async with self._database.alone() as connection:
            total.rows += Counter(await erase_from_blocklists(connection, number))
            counts = {**total.rows, "in_use": len(total.in_use)}
            noted = by.did("erase", "caller", caller_hash[:_TOLD_BYTES].hex(), after=counts)
            await add_note(connection, noted)
        return total

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
