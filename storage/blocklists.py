"""A caller's number in what campaigns used to block, and in changes that say so."""

from collections.abc import Mapping
from typing import Final

import asyncpg

from auction.domain.phone import normalise_number
from config.json_file import load_json
from config.values import DEFAULT_COUNTRY
from storage.catalogue import lock
from storage.database import Connection
from storage.exact_text import exact_text
from storage.queries import query

_ITEMS: Final = (query("blocking_items"), query("unblock_items"))
_PATCHES: Final = (query("blocking_patches"), query("unblock_patches"))
_KEY: Final = "caller_blocklist"


async def erase_from_blocklists(connection: Connection, number: str) -> Mapping[str, int]:
    """Take a number out of revisions no longer in force and scheduled changes; rows by table."""
    # Who rotates the secret key writes the same rows, from what it has read before.
    await lock(connection)
    items, patches = (
        await connection.fetch(_ITEMS[0], number),
        await connection.fetch(_PATCHES[0], number),
    )
    return {
        "catalogue_items": await _erase(connection, items, number),
        "scheduled_changes": await _erase_patches(connection, patches, number),
    }


async def _erase(connection: Connection, rows: list[asyncpg.Record], number: str) -> int:
    changed = [
        (row["kind"], row["id"], row["first_revision"], text)
        for row in rows
        if (text := without(row["document"], number)) is not None
    ]
    await connection.executemany(_ITEMS[1], changed)
    return len(changed)


async def _erase_patches(connection: Connection, rows: list[asyncpg.Record], number: str) -> int:
    changed = [
        (row["id"], text) for row in rows if (text := without(row["patch"], number)) is not None
    ]
    await connection.executemany(_PATCHES[1], changed)
    return len(changed)


def without(text: str, number: str) -> str | None:
    """A document's JSON without a number in its blocklist; None where it does not stand there."""
    document = load_json(text)
    listed = document.get(_KEY) if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(listed, list):
        return None
    kept = [each for each in listed if not _same(each, number)]
    return None if kept == listed else exact_text({**document, _KEY: kept})


def _same(written: object, number: str) -> bool:
    """A patch keeps numbers as they were written."""
    return isinstance(written, str) and normalise_number(written, DEFAULT_COUNTRY) == number
