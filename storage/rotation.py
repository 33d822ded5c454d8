"""Another secret key takes the place of the one in force: all of it, or nothing."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

from config.sealing import seal_anew
from config.secret_box import SecretBox, SecretBoxError
from storage.announcing import announce
from storage.audit import COMMAND, add_note
from storage.database import Connection, Database
from storage.errors import SecretKeyError
from storage.keys import ServiceKey, purpose_of, service_key
from storage.queries import query

_LOCK_CATALOGUE = query("catalogue_lock")
_LOCK_KEYS = query("keys_lock")
_WRAP_ANEW = query("keys_wrap_anew")
_SEALED: Final = (
    (query("sealed_items"), query("seal_items_anew"), ("kind", "id", "first_revision")),
    (query("sealed_patches"), query("seal_patches_anew"), ("id",)),
)
"""What holds sealed secrets: how it is read and written, and by which keys."""

_REPEAT_REVISION = query("repeat_revision")

_AT_ONCE: Final = 500
_TIMEOUT_S: Final = 60.0
_NOTE: Final = "the secret key was rotated"


@dataclass(frozen=True, slots=True)
class Rotated:
    """What was sealed anew; ``unreadable`` secrets could not be opened and stay as they are."""

    keys: int
    documents: int
    unreadable: int


async def rotate(database: Database, old: SecretBox, new: SecretBox) -> Rotated:
    """Wrap the service's keys and seal the marketplace's secrets anew, in one transaction.

    What the service's keys are stays: callers are recognised, and calls read, as before. The new
    revision makes services look for the key in force, and undoes what others sealed meanwhile.
    Raises SecretKeyError when ``old`` is not the key in force, StorageUnavailableError.
    """
    for key in ServiceKey:
        # Without any of them nothing would tell which secret key is in force.
        await service_key(database, old, key)
    async with database.transaction() as connection:
        await connection.execute(_LOCK_CATALOGUE)
        keys = await _wrap_keys(connection, old, new)
        documents, unreadable = await _seal_documents(connection, old, new)
        rotated = Rotated(keys, documents, unreadable)
        await add_note(connection, COMMAND.did("rotate", "secret_key", "secret_key"))
        revision = await connection.fetchval(_REPEAT_REVISION, _NOTE)
        if revision is not None:
            await announce(connection, revision)
    return rotated


async def _wrap_keys(connection: Connection, old: SecretBox, new: SecretBox) -> int:
    rows = await connection.fetch(_LOCK_KEYS)
    names = [row["name"] for row in rows]
    try:
        plain = [old.open(row["wrapped"], purpose_of(row["name"])) for row in rows]
    except SecretBoxError as error:
        message = "the old key is not the one that this database is sealed with"
        raise SecretKeyError(message) from error
    wrapped = [new.seal(key, purpose_of(name)) for name, key in zip(names, plain, strict=True)]
    await connection.execute(_WRAP_ANEW, names, wrapped)
    return len(names)


async def _seal_documents(
    connection: Connection, old: SecretBox, new: SecretBox
) -> tuple[int, int]:
    documents = unreadable = 0
    for read, write, keys in _SEALED:
        rows = await connection.fetch(read, timeout=_TIMEOUT_S)
        documents += len(rows)
        unreadable += await _seal_rows(connection, rows, (write, keys), (old, new))
    return documents, unreadable


async def _seal_rows(
    connection: Connection,
    rows: Sequence[asyncpg.Record],
    target: tuple[str, Sequence[str]],
    boxes: tuple[SecretBox, SecretBox],
) -> int:
    unreadable, (write, keys) = 0, target
    for part in _parts(rows):
        # Between two statements there is no time to lose: an idle transaction is cut off.
        texts, more = await asyncio.to_thread(_seal_part, part, *boxes)
        unreadable += more
        named = ([row[name] for row in part] for name in keys)
        await connection.execute(write, *named, texts, timeout=_TIMEOUT_S)
    return unreadable


def _seal_part(
    rows: Sequence[asyncpg.Record], old: SecretBox, new: SecretBox
) -> tuple[list[str], int]:
    made = [seal_anew(json.loads(row["document"]), old, new) for row in rows]
    texts = [
        json.dumps(document, ensure_ascii=False, separators=(",", ":")) for document, _ in made
    ]
    return texts, sum(unreadable for _, unreadable in made)


def _parts(rows: Sequence[asyncpg.Record]) -> Iterator[Sequence[asyncpg.Record]]:
    for start in range(0, len(rows), _AT_ONCE):
        yield rows[start : start + _AT_ONCE]
