"""The servers that one URL names: new connections go to the primary of the newest history."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from config.dsn import Server, servers_of
from storage.queries import query

OTHERS_S: Final = 0.25
"""How much longer the other servers are waited for once a primary is found."""

_HISTORY = query("server_history")

_log = logging.getLogger(__name__)


class ServerConnection(asyncpg.Connection):
    """A connection that knows by which history it was chosen; 0: there was no choice."""

    __slots__ = ("history",)

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401 - asyncpg's own signature
        super().__init__(*arguments)
        self.history = 0


@dataclass(frozen=True, slots=True)
class _Attempts:
    """Connecting to each server at once; what is not chosen is let go."""

    tasks: Sequence["asyncio.Task[ServerConnection]"]

    def best(self, least: int) -> ServerConnection | None:
        """The primary of the newest history so far, when it is not older than ``least``."""
        found = [task.result() for task in self.tasks if _succeeded(task)]
        newest = max(found, key=lambda connection: connection.history, default=None)
        return newest if newest is not None and newest.history >= least else None

    def pending(self) -> "set[asyncio.Task[ServerConnection]]":
        """Those that have neither succeeded nor failed."""
        return {task for task in self.tasks if not task.done()}

    def error(self) -> BaseException:
        """Why there is none: that a server is away tells more than that one is a standby."""
        errors = [task.exception() for task in self.tasks if task.done() and not task.cancelled()]
        told = [error for error in errors if error is not None]
        away = [error for error in told if not _is_no_primary(error)]
        return next(iter((*away, *told)), OldHistoryError())

    def let_go(self, but: ServerConnection | None) -> None:
        """End all but one."""
        for task in self.tasks:
            task.cancel()
            task.add_done_callback(partial(_end, but=but))


class OldHistoryError(asyncpg.PostgresConnectionError):
    """Only servers were found that others have been promoted past."""


class Servers:
    """Connects to one server, or of several to the one that takes writes.

    A server that was promoted writes a new history, with a higher number. Once a history was seen
    no server of an older one is used: what an old primary that comes back takes would be lost.
    ``direct``: without a pooler, behind which servers may change while a connection stays.
    """

    def __init__(self, dsn: str, *, direct: bool = True, others_s: float = OTHERS_S) -> None:
        self._dsn = dsn
        self._servers = servers_of(dsn)
        self._others_s = others_s
        self._direct = direct
        self._history = 0

    @property
    def several(self) -> bool:
        """Whether there is any choice."""
        return len(self._servers) > 1

    def is_behind(self, connection: asyncpg.Connection | PoolConnectionProxy) -> bool:
        """Whether a newer history than this connection's server's was seen since."""
        return self.several and int(getattr(connection, "history", 0)) < self._history

    async def connect(
        self,
        dsn: str | None = None,
        **options: Any,  # noqa: ANN401 - asyncpg's own signature
    ) -> ServerConnection:
        """A connection, made as asyncpg makes one. Raises what asyncpg raises."""
        dsn = dsn or self._dsn
        options["connection_class"] = ServerConnection
        if not self.several:
            return await _connect(dsn, options)
        attempts = _Attempts(
            [asyncio.create_task(self._ask(dsn, server, options)) for server in self._servers]
        )
        chosen = None
        try:
            chosen = await self._chosen(attempts)
        finally:
            attempts.let_go(but=chosen)
        self._note(chosen)
        return chosen

    async def _chosen(self, attempts: _Attempts) -> ServerConnection:
        until = None
        loop = asyncio.get_running_loop()
        while pending := attempts.pending():
            if until is None and attempts.best(self._history) is not None:
                until = loop.time() + self._others_s
            left = None if until is None else until - loop.time()
            if left is not None and left <= 0:
                break
            await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        best = attempts.best(self._history)
        if best is None:
            raise attempts.error()
        return best

    async def _ask(self, dsn: str, server: Server, options: dict[str, Any]) -> ServerConnection:
        connection = await _connect(dsn, {**options, "host": server.host, "port": server.port})
        if self._direct:
            await _read_history(connection)
        return connection

    def _note(self, chosen: ServerConnection) -> None:
        if chosen.history > self._history > 0:
            _log.warning(
                "Another PostgreSQL has become the primary", extra={"action": "primary_changed"}
            )
        self._history = max(self._history, chosen.history)


async def _read_history(connection: ServerConnection) -> None:
    try:
        connection.history = await connection.fetchval(_HISTORY)
    except asyncpg.PostgresError:
        # A server that only speaks PostgreSQL's language has no such history.
        if connection.is_closed():
            raise
    except BaseException:
        connection.terminate()
        raise


async def _connect(dsn: str, options: dict[str, Any]) -> ServerConnection:
    connection: ServerConnection = await asyncpg.connect(dsn, **options)
    return connection


def _succeeded(task: "asyncio.Task[ServerConnection]") -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _is_no_primary(error: BaseException) -> bool:
    return isinstance(error, asyncpg.TargetServerAttributeNotMatched)


def _end(task: "asyncio.Task[ServerConnection]", but: ServerConnection | None) -> None:
    if _succeeded(task) and task.result() is not but:
        task.result().terminate()
