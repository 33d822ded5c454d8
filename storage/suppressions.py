"""The numbers of lists, by callers' hashes: added, removed, replaced, looked for."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

from auction.domain.ids import SuppressionId
from auction.ports import ListReplacedError
from storage.audit import COMMAND, Actor, add_note
from storage.database import Database
from storage.queries import query

_LOCK = query("suppression_lock")
_CURRENT = query("suppression_current")
_LOAD = query("suppression_load")
_ADD = query("suppression_add")
_REMOVE = query("suppression_remove")
_DROP_CURRENT = query("suppression_drop_current")
_PUT_IN_FORCE = query("suppression_put_in_force")
_GIVE_UP = query("suppression_give_up")
_COUNT = query("suppression_count")
_OF = query("suppressions_of")
_SWEEP = query("suppression_sweep")
_ANALYSE = query("suppression_analyse")

AT_ONCE: Final = 2000
"""How many numbers one statement takes: some tens of milliseconds."""

_ANALYSE_FROM: Final = 10_000
_TIMEOUT_S: Final = 60.0
_FROM_API: Final = "api"

ListKey: TypeAlias = int
"""Names one content of a list; another one has another key."""


class SuppressedNumbers:
    """What is kept of lists. All raise StorageUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def current(self, suppression: SuppressionId) -> ListKey:
        """The content in force, made where there is none."""
        async with self._database.connection() as connection:
            key: ListKey = await connection.fetchval(_CURRENT, suppression)
        return key

    async def add(self, key: ListKey, hashes: Sequence[bytes]) -> int:
        """Put numbers on a list; how many were not on it. Raises ListReplacedError."""
        return await self._change(_ADD, key, hashes)

    async def remove(self, key: ListKey, hashes: Sequence[bytes]) -> int:
        """Take numbers off a list; how many were on it. Raises ListReplacedError."""
        return await self._change(_REMOVE, key, hashes)

    async def _change(self, statement: str, key: ListKey, hashes: Sequence[bytes]) -> int:
        async with self._database.connection() as connection:
            changed: int | None = await connection.fetchval(
                statement, key, sorted(set(hashes)), timeout=_TIMEOUT_S
            )
        if changed is None:
            raise ListReplacedError
        return changed

    @asynccontextmanager
    async def replacing(self, suppression: SuppressionId) -> AsyncIterator[ListKey]:
        """A new content, which takes the old one's place at the end of the body, all at once.

        After an error the old one stays in force.
        """
        async with self._database.connection() as connection:
            key: ListKey = await connection.fetchval(_LOAD, suppression)
        try:
            yield key
            async with self._database.transaction() as connection:
                await connection.execute(_LOCK)
                await connection.execute(_DROP_CURRENT, suppression)
                if await connection.fetchval(_PUT_IN_FORCE, key) is None:
                    raise ListReplacedError
        except BaseException:
            async with self._database.connection() as connection:
                await connection.execute(_GIVE_UP, key)
            raise

    async def settle(self, added: int) -> None:
        """Have statements planned anew after many numbers have come."""
        if added >= _ANALYSE_FROM:
            async with self._database.connection() as connection:
                await connection.execute(_ANALYSE, timeout=_TIMEOUT_S)

    async def note(
        self, suppression: SuppressionId, action: str, counts: Mapping[str, int], by: str | None
    ) -> None:
        """Note what was done to a list by whom; None: by a command."""
        actor = COMMAND if by is None else Actor(_FROM_API, by)
        async with self._database.transaction() as connection:
            noted = actor.did(action, "suppression", suppression, after=counts)
            await add_note(connection, noted)

    async def count(self, suppression: SuppressionId) -> int:
        """How many numbers are on a list."""
        async with self._database.connection() as connection:
            count: int | None = await connection.fetchval(_COUNT, suppression)
        return count or 0

    async def lists_of(self, caller_hash: bytes) -> Sequence[SuppressionId]:
        """The lists that a caller is on, by name."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_OF, caller_hash)
        return [row["list"] for row in rows]

    async def sweep(self) -> bool:
        """Forget some of what was replaced; whether there was anything."""
        async with self._database.connection() as connection:
            return bool(await connection.fetchval(_SWEEP, AT_ONCE))
