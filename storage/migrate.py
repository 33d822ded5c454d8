"""Brings the database schema up to date."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import asyncpg

from config.poolers import Pooler
from storage.database import open_connection, translated
from storage.errors import SchemaMismatchError
from storage.queries import query

_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_LOCK = query("migrate_lock")
_TABLE = query("migrate_table")
_APPLIED = query("migrate_applied")
_RECORD = query("migrate_record")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema. ``name`` is the file's name without its ending."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """The SHA-256 of the text, in hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()


async def migrate(
    dsn: str, migrations: Sequence[Migration] | None = None, pooler: Pooler = Pooler.NONE
) -> list[str]:
    """Apply what is missing, each step in its own transaction, and return the names of those steps.

    Safe to run from several processes at once. Raises SchemaMismatchError when the database is
    newer than the code or a step that it has was changed since, StorageUnavailableError when it
    can't be reached, PoolerError when there is a pooler that ``pooler`` does not name.
    """
    steps = load_migrations() if migrations is None else migrations
    connection = await open_connection(dsn, pooler, command_timeout_s=None)
    try:
        with translated():
            return [step.name for step in steps if await _apply(connection, step, steps)]
    finally:
        connection.terminate()


def load_migrations() -> tuple[Migration, ...]:
    """The steps in the package, in order. Raises ValueError as ``parse_migrations`` does."""
    folder = files("storage") / "sql" / "migrations"
    texts = {file.name: file.read_text("utf-8") for file in folder.iterdir()}
    return parse_migrations({name: text for name, text in texts.items() if name.endswith(".sql")})


def parse_migrations(texts: Mapping[str, str]) -> tuple[Migration, ...]:
    """Steps from texts by file name. Raises ValueError for a bad name or a gap in the numbers."""
    steps = []
    for number, (name, text) in enumerate(sorted(texts.items()), start=1):
        match = _FILE_NAME.fullmatch(name)
        if match is None or int(match[1]) != number:
            message = f"migration {name!r} is not number {number:04} in the form NNNN_name.sql"
            raise ValueError(message)
        steps.append(Migration(number, name.removesuffix(".sql"), text))
    return tuple(steps)


async def _apply(
    connection: asyncpg.Connection, step: Migration, steps: Sequence[Migration]
) -> bool:
    async with connection.transaction():
        await connection.execute(_LOCK)
        await connection.execute(_TABLE)
        applied = {row["version"]: row for row in await connection.fetch(_APPLIED)}
        _check(applied, steps)
        if step.version in applied:
            return False
        await connection.execute(step.text)
        await connection.execute(_RECORD, step.version, step.name, step.checksum)
    return True


def _check(applied: Mapping[int, asyncpg.Record], steps: Sequence[Migration]) -> None:
    known = {step.version: step for step in steps}
    for version, row in applied.items():
        step = known.get(version)
        if step is None:
            message = f"the database is newer than this program: it has {row['name']}"
            raise SchemaMismatchError(message)
        if row["checksum"] != step.checksum:
            message = f"migration {step.name} is not the one that the database was made with"
            raise SchemaMismatchError(message)
