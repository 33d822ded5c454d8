"""A pool of connections to PostgreSQL that says when it is away, and recovers by itself."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from functools import partial
from types import TracebackType
from typing import TypeAlias

import asyncpg
from asyncpg.exceptions import InternalClientError
from asyncpg.pool import PoolConnectionProxy
from asyncpg.transaction import Transaction

from auction.ports import StorageUnavailableError
from config.poolers import Pooler
from storage.servers import ServerConnection, Servers
from storage.sessions import begin_session, check_session, connect_arguments, no_refusal_by_pooler
from storage.turns import a_turn

Connection: TypeAlias = asyncpg.Connection | PoolConnectionProxy

CLEAN_UP_S = 1.0
CLOSE_S = 1.0
PATIENCE_S = 10.0
"""How long who is in no hurry waits for its turn."""

# Connection, authorization, missing database, resources, operator intervention, system errors.
_UNAVAILABLE_CLASSES = frozenset({"08", "28", "3D", "53", "57", "58"})
# A read-only standby; transactions that were cut off; a lock that was not had in time.
_UNAVAILABLE_STATES = frozenset({"25006", "25P03", "25P04", "55P03"})


class Database:
    """A pool of connections without session state: use ``SET LOCAL`` and transaction locks only.

    Connections stay out of asyncpg's pool between uses: handing one back and forth there costs
    several times what a statement costs.
    """

    def __init__(
        self,
        dsn: str,
        servers: Servers,
        pool: asyncpg.Pool,
        max_size: int,
        acquire_timeout_s: float,
        pooler: Pooler = Pooler.NONE,
    ) -> None:
        self._dsn = dsn
        self._servers = servers
        self.pooler = pooler
        self._pool = pool
        self._acquire_timeout_s = acquire_timeout_s
        self._free = asyncio.Semaphore(max_size)
        self._unhurried = asyncio.Semaphore(max(1, max_size // 3))
        self._alone = asyncio.Semaphore(1)
        self._kept: list[PoolConnectionProxy] = []
        self._cleaning: set[asyncio.Task[None]] = set()

    @classmethod
    async def connect(
        cls,
        dsn: str,
        *,
        pooler: Pooler = Pooler.NONE,
        min_size: int = 1,
        max_size: int = 10,
        connect_timeout_s: float = 5.0,
        command_timeout_s: float = 5.0,
        acquire_timeout_s: float = 2.0,
        application_name: str = "pingpost",
    ) -> "Database":
        """Open a pool on ``dsn``, a PostgreSQL URL of one host or several; times in seconds.

        ``min_size`` connections are made at once, more when they are needed, and all are kept.
        Raises StorageUnavailableError when no server answers, ValueError for a URL that can't be
        read, PoolerError when there is a pooler in between that ``pooler`` does not name.
        """
        with translated(), no_refusal_by_pooler():
            servers = Servers(dsn, direct=pooler is Pooler.NONE)
            pool = asyncpg.create_pool(
                dsn,
                connect=servers.connect,
                init_size=min_size,
                # No floor: asyncpg restores one in the background, logging each failure at length.
                min_size=0,
                max_size=max_size,
                max_inactive_connection_lifetime=0,
                max_queries=1_000_000,
                timeout=connect_timeout_s,
                command_timeout=command_timeout_s,
                init=partial(begin_session, pooler=pooler),
                reset=_leave_as_it_is,
                **connect_arguments(dsn, pooler, application_name),
            )
            await pool
        database = cls(dsn, servers, pool, max_size, acquire_timeout_s, pooler)
        try:
            async with database.connection() as connection:
                await check_session(connection, pooler)
        except BaseException:
            await database.close()
            raise
        return database

    def connection(self) -> AbstractAsyncContextManager[Connection]:
        """Lend a connection; the body should hold database work only.

        Raises StorageUnavailableError when none is free in time, and for every connection problem
        or timeout inside the body; other errors of the database pass. Cancelling leaves at once.
        """
        return _Lending(self, in_transaction=False)

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """Lend a connection in a transaction, committed when the body ends without an error.

        Raises as ``connection`` does.
        """
        return _Lending(self, in_transaction=True)

    @asynccontextmanager
    async def unhurried(self) -> AsyncIterator[Connection]:
        """Lend a connection for what can wait: a third of all at a time, so calls find others.

        Raises as ``connection`` does.
        """
        turn = a_turn(self._unhurried, PATIENCE_S, "too many are reading")
        async with turn, self.connection() as connection:
            yield connection

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[Connection]:
        """Lend a connection in a transaction to one at a time in this process.

        For those who would wait for the same lock: they wait without a connection that calls need.
        Raises as ``connection`` does.
        """
        turn = a_turn(self._alone, PATIENCE_S, "too many are changing the marketplace")
        async with turn, self.transaction() as connection:
            yield connection

    async def open_connection(self, *, timeout_s: float) -> ServerConnection:
        """A connection outside the pool, for LISTEN, which the caller closes.

        Raises as ``connect`` does.
        """
        return await open_connection(
            self._dsn,
            self.pooler,
            connect_timeout_s=timeout_s,
            command_timeout_s=timeout_s,
            servers=self._servers,
        )

    @property
    def has_several_servers(self) -> bool:
        """Whether the URL names servers that stand in for one another."""
        return self._servers.several

    def is_behind(self, connection: Connection) -> bool:
        """Whether this connection's server is no longer the one to use: another was promoted."""
        return self._servers.is_behind(connection)

    async def close(self) -> None:
        """Close every connection, by force when that takes more than a few seconds."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await asyncio.gather(*self._cleaning)
                while self._kept:
                    await self._pool.release(self._kept.pop())
                await self._pool.close()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self._pool.terminate()

    async def take(self) -> PoolConnectionProxy:
        """A connection, to be kept or cleaned up by whoever is done with it."""
        if self._free.locked():
            async with asyncio.timeout(self._acquire_timeout_s):
                await self._free.acquire()
        else:
            await self._free.acquire()
        try:
            while self._kept:
                connection = self._kept.pop()
                if _is_gone(connection):
                    continue
                if not self._servers.is_behind(connection):
                    return connection
                _terminate(connection)
            return await self._pool.acquire(timeout=self._acquire_timeout_s)
        except BaseException:
            self._free.release()
            raise

    def keep(self, connection: PoolConnectionProxy) -> None:
        """Take a connection back that nothing is wrong with."""
        if not _is_gone(connection):
            self._kept.append(connection)
        self._free.release()

    def start_cleaning(
        self, connection: PoolConnectionProxy, transaction: Transaction | None, *, broken: bool
    ) -> asyncio.Task[None]:
        """Take a connection back after an error.

        In the background: a server that hangs must not hold up a caller whose time is over.
        """
        if broken:
            _terminate(connection)
            self._doubt_others()
        cleaning = asyncio.create_task(self._clean_up(connection, transaction))
        self._cleaning.add(cleaning)
        cleaning.add_done_callback(self._cleaning.discard)
        return cleaning

    def _doubt_others(self) -> None:
        """With several servers: whatever is wrong with one connection, the next ask all servers."""
        if self._servers.several:
            while self._kept:
                _terminate(self._kept.pop())

    async def _clean_up(
        self, connection: PoolConnectionProxy, transaction: Transaction | None
    ) -> None:
        try:
            if transaction is not None and not _is_gone(connection):
                async with asyncio.timeout(CLEAN_UP_S):
                    await transaction.rollback()
            if not _is_gone(connection):
                self._kept.append(connection)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            _terminate(connection)
        finally:
            self._free.release()


class _Lending:
    """One use of a connection. A generator as context manager would cost twice as much."""

    __slots__ = ("_connection", "_database", "_in_transaction", "_transaction")

    def __init__(self, database: Database, *, in_transaction: bool) -> None:
        self._database = database
        self._in_transaction = in_transaction
        self._transaction: Transaction | None = None

    async def __aenter__(self) -> Connection:
        try:
            connection = self._connection = await self._database.take()
        except Exception:
            with translated():
                raise
        if self._in_transaction:
            try:
                transaction = self._transaction = connection.transaction()
                await transaction.start()
            except BaseException as error:
                await self._give_up(error)
                raise
        return connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if error is not None:
            await self._give_up(error)
            return
        if self._transaction is not None:
            try:
                await self._transaction.commit()
            except BaseException as failed:
                await self._give_up(failed)
                raise
        self._database.keep(self._connection)

    async def _give_up(self, error: BaseException) -> None:
        """Raises what stands for an error that means that the database is away."""
        unavailable = as_unavailable(error, self._connection)
        cleaning = self._database.start_cleaning(
            self._connection, self._transaction, broken=unavailable is not None
        )
        if unavailable is not None:
            raise unavailable from error
        if isinstance(error, Exception):
            await asyncio.shield(cleaning)


async def open_connection(
    dsn: str,
    pooler: Pooler = Pooler.NONE,
    *,
    connect_timeout_s: float = 5.0,
    command_timeout_s: float | None = 5.0,
    servers: Servers | None = None,
) -> ServerConnection:
    """A connection outside any pool, for migrations; the caller closes it.

    ``servers`` are those of the URL, where they are known already. Raises as ``Database.connect``
    does.
    """
    with translated(), no_refusal_by_pooler():
        asked = servers or Servers(dsn, direct=pooler is Pooler.NONE)
        connection = await asked.connect(
            dsn,
            timeout=connect_timeout_s,
            command_timeout=command_timeout_s,
            **connect_arguments(dsn, pooler, "pingpost"),
        )
        await begin_session(connection, pooler)
        return connection


@contextmanager
def translated() -> Iterator[None]:
    """Turn connection problems and timeouts into StorageUnavailableError; other errors pass."""
    try:
        yield
    except ValueError as error:
        # asyncpg's texts may quote a part of the URL, and with it a password.
        message = f"the database URL can't be used ({type(error).__name__})"
        raise ValueError(message) from None
    except Exception as error:
        unavailable = as_unavailable(error)
        if unavailable is None:
            raise
        raise unavailable from error


def as_unavailable(
    error: BaseException, connection: Connection | None = None
) -> StorageUnavailableError | None:
    """The error to raise when ``error`` means that the database is away, else None."""
    if isinstance(error, StorageUnavailableError):
        return error
    if isinstance(error, asyncpg.PostgresError):
        away = _means_away(error) or _is_gone(connection)
    elif isinstance(error, asyncpg.InterfaceError | InternalClientError):
        away = connection is None or _is_gone(connection)
    else:
        away = isinstance(error, OSError)
    return StorageUnavailableError(_describe(error)) if away else None


def _means_away(error: asyncpg.PostgresError) -> bool:
    state = error.sqlstate or ""
    return state[:2] in _UNAVAILABLE_CLASSES or state in _UNAVAILABLE_STATES


def _describe(error: BaseException) -> str:
    state = getattr(error, "sqlstate", None)
    code = f", SQLSTATE {state}" if state else ""
    return f"the database is unavailable ({type(error).__name__}{code})"


def _is_gone(connection: Connection | None) -> bool:
    if connection is None:
        return False
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        # A pool takes a connection that was lost back by itself.
        return True


def _terminate(connection: PoolConnectionProxy) -> None:
    # One that was lost may be back in the pool already.
    with suppress(asyncpg.InterfaceError):
        connection.terminate()


async def _leave_as_it_is(_: asyncpg.Connection) -> None:
    # asyncpg's own reset costs a round trip for session state that nothing here sets.
    return
