"""What a connection's session is given, with a connection pooler in between or without one."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, TypedDict
from urllib.parse import urlsplit

import asyncpg
from asyncpg.connect_utils import SessionAttribute
from asyncpg.pool import PoolConnectionProxy

from config.poolers import Pooler
from storage.errors import PoolerError
from storage.queries import query

STATEMENT_CACHE: Final = 100

SETTINGS: Final[Mapping[str, str]] = {
    "jit": "off",
    # Planning the long statements takes longer than running them.
    "plan_cache_mode": "force_generic_plan",
    # A frozen process must not keep the rows it has locked.
    "idle_in_transaction_session_timeout": "10s",
}
"""What makes a session quick and harmless; statements are right without it."""

_LACKING = query("lacking_session_settings")
_PID = query("server_process")
_SET = query("set_session_settings")

_log = logging.getLogger(__name__)


class ConnectArguments(TypedDict):
    """Those of ``asyncpg.connect`` that depend on a pooler."""

    server_settings: dict[str, str]
    statement_cache_size: int
    target_session_attrs: SessionAttribute | None


def connect_arguments(dsn: str, pooler: Pooler, application_name: str) -> ConnectArguments:
    """How to connect. A pooler takes the parameters at the start that it keeps track of only."""
    tracked = {"TimeZone": "UTC", "application_name": application_name}
    return {
        "server_settings": tracked if pooler is not Pooler.NONE else {**tracked, **SETTINGS},
        "statement_cache_size": 0 if pooler is Pooler.TRANSACTION else STATEMENT_CACHE,
        "target_session_attrs": _target(dsn, pooler),
    }


async def begin_session(connection: asyncpg.Connection, pooler: Pooler) -> None:
    """Set what a pooler in session mode can't be told at the start."""
    if pooler is Pooler.SESSION:
        await connection.execute(_SET, list(SETTINGS), list(SETTINGS.values()))


async def check_session(
    connection: asyncpg.Connection | PoolConnectionProxy, pooler: Pooler
) -> None:
    """Look whether the session is what it is taken for, once for many connections.

    Raises PoolerError when there is a pooler that nobody has named: it would take prepared
    statements for its own. In transaction mode the log says which settings the server lacks.
    """
    if pooler is Pooler.NONE:
        if not await _is_direct(connection):
            message = f"there is a pooler on the way to PostgreSQL: {_REMEDY}"
            raise PoolerError(message)
    elif pooler is Pooler.TRANSACTION:
        await _tell_lacking(connection)


@contextmanager
def no_refusal_by_pooler() -> Iterator[None]:
    """Raise PoolerError when a pooler refuses the parameters at the start."""
    try:
        yield
    except asyncpg.ProtocolViolationError as error:
        if "startup param" not in str(error):
            raise
        message = f"a pooler has refused the connection: {_REMEDY}"
        raise PoolerError(message) from None


async def _is_direct(connection: asyncpg.Connection | PoolConnectionProxy) -> bool:
    """Whether the process that has greeted us is the one that answers."""
    try:
        pid: int = await connection.fetchval(_PID)
    except (asyncpg.DuplicatePreparedStatementError, asyncpg.InvalidSQLStatementNameError):
        # It has met the statements of others, or none of its own.
        return False
    return pid == connection.get_server_pid()


async def _tell_lacking(connection: asyncpg.Connection | PoolConnectionProxy) -> None:
    rows = await connection.fetch(_LACKING, list(SETTINGS), list(SETTINGS.values()))
    if rows:
        _log.warning(
            "PostgreSQL should run us with %s: set it for our role, or in the pooler's"
            " connect_query",
            ", ".join(f"{row['name']} = {row['wanted']}" for row in rows),
            extra={"action": "session_settings"},
        )


def _target(dsn: str, pooler: Pooler) -> SessionAttribute | None:
    if "target_session_attrs" in dsn:
        return None
    # A pooler may remember from its own first connection what its server was.
    alone = pooler is not Pooler.NONE and "," not in urlsplit(dsn).netloc
    return SessionAttribute.any if alone else SessionAttribute.primary


_REMEDY = "set PINGPOST_DATABASE_POOLER to the mode of the pooler that PINGPOST_DSN names"
