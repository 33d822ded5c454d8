"""A real PostgreSQL for tests: one embedded server a session, one fresh database a test."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from storage.database import Database
from storage.embedded import EmbeddedServer
from storage.migrate import migrate

# What a test's database holds is worth nothing after a crash of the machine.
QUICK = {
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_connections": "300",
    "max_wal_size": "256MB",
}
IN_MEMORY = Path("/dev/shm")
ROOM_BYTES = 4 * 1024**3
"""Far more than the server of a session takes."""
TEMPLATE = "pingpost_template"


@pytest.fixture(scope="session")
def server_dsn() -> Iterator[str]:
    """The server that tests use: ``PINGPOST_TEST_DSN``, else an embedded one for this session."""
    given = os.environ.get("PINGPOST_TEST_DSN")
    if given:
        yield given
        return
    with (
        tempfile.TemporaryDirectory(prefix="pingpost-tests-", dir=_quick_folder()) as folder,
        asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner,
    ):
        server = EmbeddedServer(Path(folder) / "data", settings=QUICK)
        yield runner.run(server.start())
        runner.run(server.stop())


@pytest.fixture(scope="session")
def template(server_dsn: str) -> Iterator[str]:
    """The name of a database with the whole schema and nothing in it."""
    name = f"{TEMPLATE}_{uuid4().hex[:12]}"
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(_execute(server_dsn, f"create database {name}"))
        runner.run(migrate(with_database(server_dsn, name)))
        yield name
        runner.run(_execute(server_dsn, f"drop database {name} with (force)"))


@pytest_asyncio.fixture
async def dsn(server_dsn: str, template: str) -> AsyncIterator[str]:
    """The URL of a database of this test's own, with the whole schema."""
    name = f"pingpost_test_{uuid4().hex[:12]}"
    await _execute(server_dsn, f"create database {name} template {template} strategy file_copy")
    yield with_database(server_dsn, name)
    await _execute(server_dsn, f"drop database {name} with (force)")


@pytest_asyncio.fixture
async def empty_dsn(server_dsn: str) -> AsyncIterator[str]:
    """The URL of a database of this test's own without any schema."""
    name = f"pingpost_test_{uuid4().hex[:12]}"
    await _execute(server_dsn, f"create database {name}")
    yield with_database(server_dsn, name)
    await _execute(server_dsn, f"drop database {name} with (force)")


@pytest_asyncio.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    """A pool on a database of this test's own, with the whole schema."""
    database = await Database.connect(dsn)
    yield database
    await database.close()


def _quick_folder() -> Path | None:
    """Where files are memory, if there is room: each database is 475 files that soon are gone."""
    roomy = IN_MEMORY.is_dir() and shutil.disk_usage(IN_MEMORY).free > ROOM_BYTES
    return IN_MEMORY if roomy and os.access(IN_MEMORY, os.W_OK) else None


def with_database(dsn: str, name: str) -> str:
    """The same server's URL with another database."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
