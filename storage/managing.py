"""Single items of the marketplace: read, listed, and changed one revision at a time."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

import asyncpg

from storage.catalogue import About, add_revision, lock
from storage.catalogue_items import STEP, CatalogueItem, Changes, Key
from storage.database import Connection, Database
from storage.queries import query

_ITEM = query("managed_item")
_ITEM_AT = query("managed_item_at")
_ITEMS = query("managed_items")
_CHILDREN = query("managed_children")
_WAS_THERE = query("item_was_there")
_LIST = query("managed_list")
_REFERRING = query("managed_referring")
_MENTIONING = query("managed_mentioning")
_SHARING = query("managed_sharing")
_LAST_POSITION = query("managed_last_position")
_IDS_LIKE = query("managed_ids_like")


_MEANS_SOMETHING = re.compile(r"([%_\\])")
"""What stands for other text in a pattern of ``like``."""


@dataclass(frozen=True, slots=True)
class HeldItem:
    """An item and the revision since which it is as it is.

    ``told``: what else the change did that made it so.
    """

    item: CatalogueItem
    since: int
    told: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which items of a kind a list shows, in the order of their ids.

    ``having`` is what a document contains; ``absent`` tells the values of keys that it leaves out.
    """

    after: str = ""
    limit: int = 100
    parent: str | None = None
    having: Mapping[str, object] = field(default_factory=dict)
    absent: Mapping[str, object] = field(default_factory=dict)


async def read_item(
    database: Database, kind: str, identifier: str, revision: int | None = None
) -> HeldItem | None:
    """One item, now or as it was at a revision; None when there is none of this id."""
    async with database.unhurried() as connection:
        if revision is None:
            row = await connection.fetchrow(_ITEM, kind, identifier)
        else:
            row = await connection.fetchrow(_ITEM_AT, kind, identifier, revision)
    return None if row is None else _held(row)


async def list_items(database: Database, kind: str, wanted: Wanted) -> list[HeldItem]:
    """The items of a kind that are wanted. Raises StorageUnavailableError."""
    filters = (json.dumps(wanted.absent), json.dumps(wanted.having))
    async with database.unhurried() as connection:
        rows = await connection.fetch(
            _LIST, kind, wanted.after, wanted.limit, wanted.parent, *filters
        )
    return await asyncio.to_thread(lambda: [_held(row) for row in rows])


async def was_there(database: Database, kind: str, identifier: str) -> bool:
    """Whether there has ever been such an item. Raises StorageUnavailableError."""
    async with database.unhurried() as connection:
        found: bool = await connection.fetchval(_WAS_THERE, kind, identifier)
    return found


class CatalogueChange:
    """A change under way; what it reads stays so until it ends. Made by ``change``.

    ``in_force_at``: when what it has saved comes into force, None: as soon as it is committed.
    """

    def __init__(self, connection: Connection, newest: int) -> None:
        self.connection = connection
        self.newest = newest
        self.in_force_at: datetime | None = None

    async def item(self, kind: str, identifier: str) -> HeldItem | None:
        """One item, None when there is none of this id."""
        row = await self.connection.fetchrow(_ITEM, kind, identifier)
        return None if row is None else _held(row)

    async def items(self, kind: str, identifiers: Collection[str]) -> list[CatalogueItem]:
        """Those of the items that are there."""
        if not identifiers:
            return []
        return _read(await self.connection.fetch(_ITEMS, kind, list(identifiers)))

    async def children(self, kind: str, parent: str) -> list[CatalogueItem]:
        """The items of a kind that belong to another."""
        return await asyncio.to_thread(_read, await self.connection.fetch(_CHILDREN, kind, parent))

    async def referring(
        self,
        kind: str,
        path: str,
        identifier: str,
        after: str,
        at_most: int,
        mentioning: Collection[str] | None = None,
    ) -> list[CatalogueItem]:
        """The items of a kind with ``identifier`` at ``path``, a SQL/JSON path to ``$id``.

        The first ``at_most`` of those whose ids come after ``after``, and whose documents have any
        of the texts ``mentioning``, if given.
        """
        patterns = None if mentioning is None else _patterns(mentioning)
        found = (kind, path, identifier, after, at_most, patterns)
        rows = await self.connection.fetch(_REFERRING, *found)
        # The JSON of thousands of offers takes a while; calls go on being decided meanwhile.
        return await asyncio.to_thread(_read, rows)

    async def mentioning(self, kind: str, texts: Collection[str]) -> list[str]:
        """The ids of a kind whose documents have any of these texts."""
        rows = await self.connection.fetch(_MENTIONING, kind, _patterns(texts))
        return [row["id"] for row in rows]

    async def sharing(self, kind: str, key: str, values: Collection[str]) -> list[CatalogueItem]:
        """The items of a kind whose list under ``key`` has any of these texts."""
        if not values:
            return []
        return _read(await self.connection.fetch(_SHARING, kind, key, list(values)))

    async def ids_like(self, kind: str, start: str) -> set[str]:
        """The ids of a kind that start so."""
        rows = await self.connection.fetch(_IDS_LIKE, kind, start)
        return {row["id"] for row in rows}

    async def next_position(self, kind: str, parent: str | None) -> int:
        """The position behind all others of a group."""
        last: int = await self.connection.fetchval(_LAST_POSITION, kind, parent)
        return last + STEP

    async def save(
        self, closed: Sequence[Key], added: Sequence[CatalogueItem], about: About
    ) -> int:
        """Make a revision of it, which it returns; at most once."""
        revision = self.newest + 1
        difference = Changes(tuple(closed), tuple(added))
        self.in_force_at = await add_revision(self.connection, revision, difference, about)
        return revision


@asynccontextmanager
async def change(database: Database) -> AsyncIterator[CatalogueChange]:
    """Begin a change; it is committed when the body ends. Raises StorageUnavailableError."""
    async with database.alone() as connection:
        yield CatalogueChange(connection, await lock(connection))


def _patterns(texts: Iterable[str]) -> list[str]:
    """For ``like``: documents with these texts as JSON writes them."""
    written = [json.dumps(text, ensure_ascii=False)[1:-1] for text in texts]
    literal = [_MEANS_SOMETHING.sub(r"\\\1", each) for each in written]
    return [f"%{each}%" for each in literal]


def _read(rows: Sequence[asyncpg.Record]) -> list[CatalogueItem]:
    return [_held(row).item for row in rows]


def _held(row: asyncpg.Record) -> HeldItem:
    kind, identifier, parent, position, text, since = row
    return HeldItem(CatalogueItem(kind, identifier, json.loads(text), parent, position), since)
