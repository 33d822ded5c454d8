"""Sessions as a pooler in between allows them, looked at on the server itself."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from config.poolers import Pooler
from storage.database import Database, open_connection
from storage.follower import RevisionFollower
from storage.sessions import SETTINGS, connect_arguments
from tests.eventually import eventually

OWN_SETTINGS = "select name from pg_settings where source = 'client' or source = 'session'"
MINE = "select count(*) from pg_stat_activity where datname = current_database()"


@pytest_asyncio.fixture
async def pooled(dsn: str) -> AsyncIterator[Database]:
    """A pool of one connection that is used as a pooler's by the transaction."""
    database = await Database.connect(dsn, pooler=Pooler.TRANSACTION, max_size=1)
    yield database
    await database.close()


async def test_by_the_transaction_a_session_keeps_no_statement_and_no_setting_of_ours(
    pooled: Database,
) -> None:
    async with pooled.connection() as connection:
        assert await connection.fetchval("select $1::int + 1", 1) == 2
        assert await connection.fetch("select 1 from pg_prepared_statements") == []
        names = {row["name"] for row in await connection.fetch(OWN_SETTINGS)}
    assert names.isdisjoint(SETTINGS)


@pytest.mark.parametrize("pooler", [Pooler.NONE, Pooler.SESSION])
async def test_a_session_of_our_own_keeps_statements_and_has_every_setting(
    dsn: str, pooler: Pooler
) -> None:
    database = await Database.connect(dsn, pooler=pooler, max_size=1)
    single = await open_connection(dsn, pooler)
    async with database.connection() as connection:
        await connection.fetchval("select $1::int", 1)
        assert await connection.fetch("select 1 from pg_prepared_statements") != []
        for each in (connection, single):
            for name, value in SETTINGS.items():
                assert await each.fetchval("select current_setting($1)", name) == value
    await single.close()
    await database.close()


async def test_by_the_transaction_changes_are_polled_for_and_no_connection_listens(
    pooled: Database,
) -> None:
    async with pooled.connection() as connection:
        await connection.execute("create table newest as select 1::bigint as number")
    seen: list[int] = []

    async def take_up(revision: int) -> None:
        seen.append(revision)

    follower = RevisionFollower(pooled, "newest", "select number from newest", take_up)
    follower.start(1)
    async with pooled.connection() as connection:
        await connection.execute("update newest set number = 2")

    await eventually(lambda: seen == [2])
    async with pooled.connection() as connection:
        assert await connection.fetchval(MINE) == 1
    await follower.stop()


async def test_by_the_transaction_the_log_says_which_settings_the_server_lacks(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def actions() -> list[str]:
        caplog.clear()
        database = await Database.connect(dsn, pooler=Pooler.TRANSACTION, max_size=1)
        await database.close()
        return [vars(record)["action"] for record in caplog.records]

    assert await actions() == ["session_settings"]
    connection = await asyncpg.connect(dsn)
    name = await connection.fetchval("select current_database()")
    for setting, value in SETTINGS.items():
        await connection.execute(f"alter database {name} set {setting} = '{value}'")
    await connection.close()
    assert await actions() == []


@pytest.mark.parametrize(
    ("dsn", "pooler", "target"),
    [
        ("postgresql://one/db", Pooler.NONE, "primary"),
        ("postgresql://one/db", Pooler.TRANSACTION, "any"),
        ("postgresql://one,two/db", Pooler.SESSION, "primary"),
        ("postgresql://one/db?target_session_attrs=any", Pooler.NONE, None),
    ],
)
def test_a_pooler_alone_knows_where_the_primary_is(
    dsn: str, pooler: Pooler, target: str | None
) -> None:
    wanted = connect_arguments(dsn, pooler, "test")["target_session_attrs"]
    assert (wanted and wanted.value) == target
