"""Who changed what and when: from the marketplace's revisions, and what else was noted."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import asyncpg

from storage.catalogue_items import CatalogueItem
from storage.database import Connection, Database
from storage.queries import query

BEGINNING: Final = datetime(1, 1, 2, tzinfo=UTC)
END: Final = datetime(9999, 12, 30, tzinfo=UTC)

_PAGE = query("audit_page")
_ADD = query("audit_add")

Document = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class AuditPlace:
    """Where a page ends; the next begins before it."""

    at: datetime = END
    within: str = ""


@dataclass(frozen=True, slots=True)
class AuditWanted:
    """Which entries are shown, the newest first. ``actor``: a token's id or the whole."""

    limit: int = 100
    before: AuditPlace = AuditPlace()
    kind: str | None = None
    id: str | None = None
    actor: str | None = None
    since: datetime = BEGINNING
    until: datetime = END


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change. ``action`` is ``create``, ``update``, ``delete`` or told by who noted it.

    Items of the marketplace are as they are stored: with sealed secrets.
    """

    place: AuditPlace
    revision: int | None
    origin: str
    actor: str
    kind: str
    id: str
    action: str
    before: CatalogueItem | None
    after: CatalogueItem | None
    note: str | None


@dataclass(frozen=True, slots=True)
class Note:
    """Something to be noted that no revision tells. Nothing in it may be a secret."""

    origin: str
    actor: str
    kind: str
    id: str
    action: str
    before: Document | None = None
    after: Document | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did something, and from where."""

    origin: str
    name: str

    def did(
        self,
        action: str,
        kind: str,
        item: str,
        *,
        before: Document | None = None,
        after: Document | None = None,
    ) -> Note:
        """What they did, to be noted."""
        return Note(self.origin, self.name, kind, item, action, before, after)


COMMAND: Final = Actor("command", "command")
"""Whoever may run commands on the database."""


async def read_audit(database: Database, wanted: AuditWanted) -> list[AuditEntry]:
    """A page of the log. Raises StorageUnavailableError."""
    async with database.unhurried() as connection:
        rows = await connection.fetch(
            _PAGE,
            *(wanted.before.at, wanted.before.within),
            *(wanted.kind, wanted.id, wanted.actor),
            *(wanted.since, wanted.until, wanted.limit),
        )
    return await asyncio.to_thread(lambda: [_entry(row) for row in rows])


async def add_note(connection: Connection, note: Note) -> None:
    """Note something, in the transaction that does it."""
    about = (note.origin, note.actor, note.kind, note.id, note.action)
    await connection.execute(_ADD, *about, _text(note.before), _text(note.after), note.note)


def _entry(row: asyncpg.Record) -> AuditEntry:
    before = _item(row, row["parent_before"], row["before"])
    after = _item(row, row["parent_after"], row["after"])
    return AuditEntry(
        AuditPlace(row["at"], row["place"]),
        row["revision"],
        row["origin"],
        row["actor"],
        row["kind"],
        row["id"],
        row["action"] or _action(before, after),
        before,
        after,
        row["note"],
    )


def _item(row: asyncpg.Record, parent: str | None, text: str | None) -> CatalogueItem | None:
    if text is None:
        return None
    return CatalogueItem(row["kind"], row["id"], json.loads(text), parent)


def _action(before: CatalogueItem | None, after: CatalogueItem | None) -> str:
    if before is None:
        return "create"
    if after is None:
        return "delete"
    return "move" if before == after else "update"


def _text(document: Document | None) -> str | None:
    return None if document is None else json.dumps(document, ensure_ascii=False)
