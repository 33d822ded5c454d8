"""Changes of the marketplace that wait for their time."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime

import asyncpg

from storage.database import Connection, Database
from storage.exact_text import exact_text
from storage.queries import query

_ADD = query("scheduled_add")
_PENDING = query("scheduled_pending")
_ONE = query("scheduled_one")
_LIST = query("scheduled_list")
_CANCEL = query("scheduled_cancel")
_ANY_DUE = query("scheduled_any_due")
_DUE = query("scheduled_due")
_SETTLE = query("scheduled_settle")


@dataclass(frozen=True, slots=True)
class ScheduledChange:
    """A merge patch for an item, as JSON with sealed secrets.

    ``state`` is ``pending``, ``applied``, ``failed`` (``error`` says why) or ``cancelled``.
    """

    id: str
    kind: str
    item_id: str
    patch: str
    effective_at: datetime
    actor: str
    created_at: datetime
    state: str
    settled_at: datetime | None
    revision: int | None
    error: str | None


@dataclass(frozen=True, slots=True)
class ScheduledWanted:
    """Which changes are shown, the one that is due first at the front."""

    limit: int = 100
    after: tuple[datetime, str] | None = None
    state: str | None = None
    kind: str | None = None
    item_id: str | None = None


async def add_scheduled(
    connection: Connection,
    kind: str,
    item_id: str,
    patch: Mapping[str, object],
    effective_at: datetime,
    actor: str,
) -> ScheduledChange:
    """Have a change wait. Nothing in the patch may be a plain secret."""
    identifier = f"chg_{secrets.token_hex(8)}"
    about = (kind, item_id, exact_text(patch), effective_at, actor)
    row = await connection.fetchrow(_ADD, identifier, *about)
    assert row is not None, "an insert that succeeds returns its row"
    return _read(row)


async def count_pending(connection: Connection) -> int:
    """How many changes wait."""
    count: int = await connection.fetchval(_PENDING)
    return count


async def get_scheduled(database: Database, identifier: str) -> ScheduledChange | None:
    """One change, None when there is none of this id. Raises StorageUnavailableError."""
    async with database.unhurried() as connection:
        row = await connection.fetchrow(_ONE, identifier)
    return None if row is None else _read(row)


async def list_scheduled(database: Database, wanted: ScheduledWanted) -> list[ScheduledChange]:
    """A page of changes. Raises StorageUnavailableError."""
    after = wanted.after or (None, "")
    filters = (wanted.state, wanted.kind, wanted.item_id)
    async with database.unhurried() as connection:
        rows = await connection.fetch(_LIST, *after, *filters, wanted.limit)
    return [_read(row) for row in rows]


async def cancel_scheduled(connection: Connection, identifier: str) -> ScheduledChange | None:
    """Cancel a change, None when there is none of this id that waits."""
    row = await connection.fetchrow(_CANCEL, identifier)
    return None if row is None else _read(row)


async def any_due(database: Database) -> bool:
    """Whether the time of a change has come. Raises StorageUnavailableError."""
    async with database.connection() as connection:
        due: bool = await connection.fetchval(_ANY_DUE)
    return due


async def take_due(connection: Connection) -> ScheduledChange | None:
    """The first change whose time has come, nobody else's until the transaction ends."""
    row = await connection.fetchrow(_DUE)
    return None if row is None else _read(row)


async def settle(
    connection: Connection, identifier: str, *, revision: int | None, error: str | None
) -> None:
    """Note what became of a change: it was applied, or failed when there is an ``error``."""
    state = "applied" if error is None else "failed"
    await connection.execute(_SETTLE, identifier, state, revision, error)


def _read(row: asyncpg.Record) -> ScheduledChange:
    return ScheduledChange(**{each.name: row[each.name] for each in fields(ScheduledChange)})
