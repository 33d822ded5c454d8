"""Numbers lent to visitors: none to two at once, the one unused for longest first."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import asyncpg

from auction.domain.ids import PoolId, SourceId
from auction.domain.leases import Exhausted, Leased, LeaseRequest
from auction.domain.numbers import PoolTerms
from auction.ports import StorageUnavailableError
from storage.database import Connection, Database
from storage.queries import query
from storage.vault import CallerVault

_OWNER_LOCK = query("lease_owner_lock")
_ADD_NUMBERS = query("add_pool_numbers")
_DROP_NUMBERS = query("drop_pool_numbers")
_MOVE_NUMBERS = query("move_pool_numbers")
_LOCK_OWN = query("lock_own_lease")
_COUNT = query("count_lent")
_LIVE = query("live_leases")
_LOCK_FREE = query("lock_free_number")
_LEND = query("lend_number")
_KEEP = query("keep_lease")
_END = query("end_lease")
_FORGET = query("forget_lapsed_leases")

TRIES: Final = 5
"""How often one visitor's requests may get in each other's way."""

FORGET_EVERY_S: Final = 60.0
AT_ONCE: Final = 2
"""How many leases use a connection at the same time: most are for deciding calls."""

PATIENCE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class LiveLeases:
    """How many visitors hold numbers of a pool, and until when the last of them does."""

    visitors: int
    until: datetime

    @property
    def until_text(self) -> str:
        """When the last one ends, as RFC 3339 in whole seconds."""
        at = self.until.astimezone(UTC).isoformat(timespec="seconds")
        return at.replace("+00:00", "Z")


async def live_leases(
    connection: Connection, pool: str, numbers: Iterable[str]
) -> LiveLeases | None:
    """The leases of a pool's numbers that calls would still find; None where there are none."""
    [row] = await connection.fetch(_LIVE, pool, list(numbers))
    return LiveLeases(row["visitors"], row["until"]) if row["visitors"] else None


class NumberLeases:
    """Lends the numbers of pools; several processes and machines share them."""

    def __init__(self, database: Database, vault: CallerVault) -> None:
        self._database = database
        self._vault = vault
        self._known: dict[PoolId, tuple[str, ...]] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def lease(
        self, pool: PoolTerms, request: LeaseRequest, lendable: Mapping[SourceId, int]
    ) -> Leased | Exhausted:
        """The visitor's number, the same one for the same session as long as it is its own.

        ``lendable``: how many numbers a source may have at once. Raises StorageUnavailableError.
        """
        await self._make_known(pool)
        for _ in range(TRIES):
            try:
                return await self._try_lease(pool, request, lendable)
            except asyncpg.UniqueViolationError:
                # The same visitor asked twice at once: now there is a number to be found.
                continue
        raise StorageUnavailableError("a visitor's requests get in each other's way")

    async def heartbeat(self, pool: PoolTerms, session_id: str) -> Leased | None:
        """The lease, kept for longer; None when it is over. Raises StorageUnavailableError."""
        session = self._vault.session(pool.id, session_id)
        async with self._turn(), self._database.transaction() as connection:
            row = await connection.fetchrow(_KEEP, pool.id, session, pool.heartbeat_s, pool.grace_s)
        return None if row is None else Leased(row["number"], row["expires_at"])

    async def give_back(self, pool: PoolTerms, session_id: str) -> bool:
        """End a lease; False when there is none. Raises StorageUnavailableError."""
        session = self._vault.session(pool.id, session_id)
        async with self._turn(), self._database.transaction() as connection:
            return await connection.fetchval(_END, pool.id, session) is not None

    async def keep_forgetting(self) -> None:
        """Drop the tags of leases that are over, time and again; runs until it is cancelled."""
        while True:
            await asyncio.sleep(FORGET_EVERY_S)
            # A database that was set back may not know all numbers.
            self._known.clear()
            await self.forget()

    async def forget(self) -> None:
        """Drop the tags of leases that are over. Raises StorageUnavailableError."""
        async with self._database.transaction() as connection:
            await connection.execute(_FORGET)

    async def _try_lease(
        self, pool: PoolTerms, request: LeaseRequest, lendable: Mapping[SourceId, int]
    ) -> Leased | Exhausted:
        source = request.source or pool.source
        limit = None if source is None else lendable.get(source)
        async with self._turn(), self._database.transaction() as connection:
            if pool.cap is not None:
                await connection.execute(_OWNER_LOCK, f"pool {pool.id}")
            if limit is not None:
                await connection.execute(_OWNER_LOCK, f"source {source}")
            session = self._vault.session(pool.id, request.session_id)
            own = await connection.fetchrow(_LOCK_OWN, pool.id, session)
            if own is None or not own["kept"]:
                full = await _beyond_caps(connection, pool, source, limit, session)
                if full is not None:
                    return full
            number = await self._number_for(connection, pool, own)
            if number is None:
                return Exhausted.POOL
            lease = None if own is None else own["lease"]
            return await self._lend(connection, pool, number, request, lease)

    async def _make_known(self, pool: PoolTerms) -> None:
        """Give every number its row, apart from all else: others must not find it locked."""
        if self._known.get(pool.id) == pool.numbers:
            return
        async with self._turn(), self._database.transaction() as connection:
            await connection.execute(_ADD_NUMBERS, pool.id, list(pool.numbers))
            await connection.execute(_MOVE_NUMBERS, pool.id, list(pool.numbers))
            await connection.execute(_DROP_NUMBERS, pool.id, list(pool.numbers))
        self._known[pool.id] = pool.numbers

    async def _number_for(
        self, connection: Connection, pool: PoolTerms, own: asyncpg.Record | None
    ) -> str | None:
        """The visitor's own number, else a free one. Both are locked."""
        if own is not None:
            number: str = own["number"]
            return number
        free: str | None = await connection.fetchval(_LOCK_FREE, pool.id, pool.grace_s)
        return free

    async def _lend(
        self,
        connection: Connection,
        pool: PoolTerms,
        number: str,
        request: LeaseRequest,
        held: str | None,
    ) -> Leased:
        """``held``: the lease that the visitor has."""
        lease = held or os.urandom(16).hex()
        session = self._vault.session(pool.id, request.session_id)
        source = request.source or pool.source
        kept = held is not None and request.tags is None
        sealed = None if kept else self._vault.seal_tags(request.tags or {}, lease)
        row = (number, lease, session, source, sealed, pool.lease_s, pool.grace_s)
        return Leased(number, await connection.fetchval(_LEND, *row))

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._turns.acquire()
        except TimeoutError:
            raise StorageUnavailableError("too many ask for numbers") from None
        try:
            yield
        finally:
            self._turns.release()


async def _beyond_caps(
    connection: Connection,
    pool: PoolTerms,
    source: SourceId | None,
    limit: int | None,
    session: bytes,
) -> Exhausted | None:
    """Which limit has no room for one number more."""
    if pool.cap is None and limit is None:
        return None
    [lent] = await connection.fetch(_COUNT, pool.id, source, session)
    if pool.cap is not None and lent["of_pool"] >= pool.cap:
        return Exhausted.POOL_CAP
    if limit is not None and lent["of_source"] >= limit:
        return Exhausted.SOURCE_CAP
    return None
