"""The marketplace's revisions in the database; all of them are kept."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from storage.announcing import PACE, Pace, announce, made_anew
from storage.catalogue_items import CatalogueItem, Changes, changes
from storage.database import Connection, Database
from storage.errors import RevisionConflictError
from storage.queries import query

_SAVE_TIMEOUT_S = 60.0

_AT_ONCE = 2_000
"""So many rows are a few MiB: sending them keeps a transaction from idling for long."""

_LOOKS = 20
"""How often a marketplace is compared again; each time somebody else got through."""

_LOCK = query("catalogue_lock")
_NEWEST = query("catalogue_newest")
_NEWEST_NUMBER = query("catalogue_newest_number")
_HAS_REVISION = query("catalogue_has_revision")
_ITEMS_AT = query("catalogue_items_at")
_IN_FORCE = query("catalogue_in_force")
_CREATED_AT = query("catalogue_created_at")
_ITEMS_SINCE = query("catalogue_items_since")
_OFFERS_CLOSED = query("catalogue_offers_closed")
_FIRST_COME = query("catalogue_first_come")
_ADD_REVISION = query("catalogue_add_revision")
_CLOSE_ITEMS = query("catalogue_close_items")
_ADD_ITEMS = query("catalogue_add_items")
_OFFERS = query("catalogue_offers")


@dataclass(frozen=True, slots=True)
class RevisionInfo:
    """Where a revision comes from. ``origin`` is ``file``, ``api`` or ``alert``."""

    revision: int
    created_at: datetime
    origin: str
    actor: str | None
    file_name: str | None
    file_digest: str | None
    note: str | None


@dataclass(frozen=True, slots=True)
class About:
    """What a new revision tells of itself; see ``RevisionInfo``."""

    origin: str
    actor: str | None = None
    file_name: str | None = None
    file_digest: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class StoredMarketplace:
    """Everything in one revision; revision 0 is the empty one before the first."""

    revision: int
    items: tuple[CatalogueItem, ...]


@dataclass(frozen=True, slots=True)
class StoredItem:
    """One row as it is stored; ``text`` is its document. See ``CatalogueItem``."""

    kind: str
    id: str
    parent: str | None
    position: int
    text: str

    def read(self) -> CatalogueItem:
        """The item, its document read."""
        document = json.loads(self.text)
        return CatalogueItem(self.kind, self.id, document, self.parent, self.position)


@dataclass(frozen=True, slots=True)
class Known:
    """A revision; a database that was restored may have another one of its number by now."""

    revision: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ChangedItems:
    """What came between two revisions.

    ``items``: all that are no offers, and the offers that are new or have changed; ``closed``: the
    ids of offers that are gone or have changed. ``known`` is the later of the two.
    """

    known: Known
    items: tuple[StoredItem, ...]
    closed: frozenset[str]


async def latest(database: Database, *, but: str | None = None) -> RevisionInfo | None:
    """The newest revision, or the newest of another origin than ``but``; None where there is none.

    Raises StorageUnavailableError.
    """
    async with database.connection() as connection:
        row = await connection.fetchrow(_NEWEST, but)
    return None if row is None else RevisionInfo(**row)


async def revision_in_force(database: Database) -> int:
    """The number of the newest revision whose time has come, 0 before the first.

    Raises StorageUnavailableError.
    """
    async with database.connection() as connection:
        number: int = await connection.fetchval(_IN_FORCE)
    return number


async def load(database: Database, revision: int | None = None) -> StoredMarketplace:
    """One revision, the newest unless told. Raises LookupError for one that is not there."""
    async with database.connection() as connection:
        if revision is None:
            revision = await _newest_number(connection)
        else:
            await _check_known(connection, revision)
        rows = await _rows_at(connection, revision)
    # The JSON of thousands of offers takes a while; calls go on being decided meanwhile.
    return StoredMarketplace(revision, await asyncio.to_thread(_items, rows))


async def load_unread(database: Database, revision: int) -> Sequence[StoredItem]:
    """The rows of a revision, to be read one by one: all documents at once take much memory.

    Raises LookupError for a revision that is not there.
    """
    async with database.connection() as connection:
        await _check_known(connection, revision)
        rows = await _rows_at(connection, revision)
    return await asyncio.to_thread(lambda: [StoredItem(*row) for row in rows])


async def known(database: Database, revision: int) -> Known | None:
    """What a revision is known by from now on; None where it is not there."""
    async with database.connection() as connection:
        created_at = await connection.fetchval(_CREATED_AT, revision)
    return None if created_at is None else Known(revision, created_at)


async def load_changes(
    database: Database, revision: int, since: Known, also: Sequence[str]
) -> ChangedItems | None:
    """What a revision has changed since a known one, with the offers asked for by ``also``.

    None where that is not to be told: the known revision comes later, or is another one by now.
    Raises LookupError for a revision that is not there.
    """
    if since.revision >= revision:
        return None
    async with database.connection() as connection:
        await _check_known(connection, revision)
        if await connection.fetchval(_CREATED_AT, since.revision) != since.created_at:
            return None
        rows = await connection.fetch(_ITEMS_SINCE, revision, since.revision, list(also))
        closed = await connection.fetch(_OFFERS_CLOSED, revision, since.revision)
        created_at = await connection.fetchval(_CREATED_AT, revision)
    items = tuple(StoredItem(*row) for row in rows)
    later = Known(revision, created_at)
    return ChangedItems(later, items, frozenset(row["id"] for row in closed))


async def load_offers(
    database: Database, revision: int, ids: Sequence[str]
) -> Sequence[StoredItem]:
    """Those of a revision's offers that have these ids. Raises StorageUnavailableError."""
    if not ids:
        return ()
    async with database.connection() as connection:
        rows = await connection.fetch(_OFFERS, revision, ids, timeout=_SAVE_TIMEOUT_S)
    return await asyncio.to_thread(lambda: [StoredItem(*row) for row in rows])


async def first_come(database: Database, kind: str, revision: int, limit: int) -> Sequence[str]:
    """The ids of a revision's items of a kind that have been known longest, the oldest first.

    One that was gone meanwhile counts from when it first came; those of one revision come in order
    of id. Raises StorageUnavailableError.
    """
    async with database.connection() as connection:
        rows = await connection.fetch(_FIRST_COME, kind, revision, limit, timeout=_SAVE_TIMEOUT_S)
    return [row["id"] for row in rows]


async def _check_known(connection: Connection, revision: int) -> None:
    if not await connection.fetchval(_HAS_REVISION, revision):
        message = f"there is no revision {revision} of the marketplace"
        raise LookupError(message)


async def _rows_at(connection: Connection, revision: int) -> Sequence[asyncpg.Record]:
    rows: Sequence[asyncpg.Record] = await connection.fetch(
        _ITEMS_AT, revision, timeout=_SAVE_TIMEOUT_S
    )
    return rows


async def save(
    database: Database,
    items: Iterable[CatalogueItem],
    *,
    origin: str,
    actor: str | None = None,
    file_name: str | None = None,
    file_digest: str | None = None,
    note: str | None = None,
    expected_revision: int | None = None,
    pace: Pace = PACE,
) -> int:
    """Make ``items`` the marketplace and return its revision, the same one when nothing differs.

    Raises RevisionConflictError when ``expected_revision`` is given and not the newest,
    StorageUnavailableError.
    """
    about = About(origin, actor, file_name, file_digest, note)
    wanted = tuple(items)
    for look in range(_LOOKS):
        base = await load(database)
        if expected_revision is not None and expected_revision != base.revision:
            raise RevisionConflictError(expected_revision, base.revision)
        difference = await asyncio.to_thread(changes, base.items, wanted)
        try:
            return await write(database, base.revision, difference, about, pace)
        except RevisionConflictError:
            if expected_revision is not None or look == _LOOKS - 1:
                raise
    raise AssertionError("the last look returns or raises")


async def write(
    database: Database, base: int, difference: Changes, about: About, pace: Pace = PACE
) -> int:
    """Make what differs from the newest revision, ``base``, the next one, and return that.

    Where nothing differs that is ``base``. Raises RevisionConflictError when another one than it
    is the newest, StorageUnavailableError.
    """
    # All that takes long comes first: a transaction that idles is cut off, and others wait for it.
    writing = await asyncio.to_thread(_Writing.of, difference)
    async with database.transaction() as connection:
        newest = await lock(connection)
        if newest != base:
            raise RevisionConflictError(base, newest)
        if base and not difference:
            return base
        await _add(connection, base + 1, writing, about, pace)
    return base + 1


async def lock(connection: Connection) -> int:
    """Have every other change wait for the end of the transaction; the newest revision."""
    await connection.execute(_LOCK)
    return await _newest_number(connection)


async def add_revision(
    connection: Connection,
    revision: int,
    difference: Changes,
    about: About,
    pace: Pace = PACE,
) -> datetime | None:
    """Write a revision and announce it; ``revision`` is one above what ``lock`` told.

    Returns when it comes into force; None: as soon as it is committed.
    """
    return await _add(connection, revision, _Writing.of(difference), about, pace)


async def _add(
    connection: Connection, revision: int, writing: "_Writing", about: About, pace: Pace
) -> datetime | None:
    told = (about.origin, about.actor, about.file_name, about.file_digest, about.note)
    await connection.execute(_ADD_REVISION, revision, *told)
    for columns in writing.closed:
        await connection.execute(_CLOSE_ITEMS, revision, *columns, timeout=_SAVE_TIMEOUT_S)
    for columns in writing.added:
        await connection.execute(_ADD_ITEMS, revision, *columns, timeout=_SAVE_TIMEOUT_S)
    offers = await made_anew(connection, revision, writing.difference)
    return await announce(connection, revision, offers, pace)


Columns = list[list[object]]


@dataclass(frozen=True, slots=True)
class _Writing:
    """A difference as the arguments of the statements that write it, some thousands a statement."""

    difference: Changes
    closed: Sequence[Columns]
    added: Sequence[Columns]

    @classmethod
    def of(cls, difference: Changes) -> "_Writing":
        rows = [
            (item.kind, item.id, item.parent, item.position, item.text) for item in difference.added
        ]
        return cls(difference, _in_parts(difference.closed), _in_parts(rows))


async def _newest_number(connection: Connection) -> int:
    number: int = await connection.fetchval(_NEWEST_NUMBER)
    return number


async def _items_at(connection: Connection, revision: int) -> tuple[CatalogueItem, ...]:
    return _items(await _rows_at(connection, revision))


def _items(rows: Sequence[asyncpg.Record]) -> tuple[CatalogueItem, ...]:
    return tuple(StoredItem(*row).read() for row in rows)


def _in_parts(rows: Sequence[tuple[object, ...]]) -> list[Columns]:
    parts = (rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE))
    return [[list(column) for column in zip(*part, strict=True)] for part in parts]
