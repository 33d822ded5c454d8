"""Whether commits are confirmed by what would take over."""

import pytest

from storage.confirming import doubt_of_commits
from storage.database import Database


@pytest.mark.parametrize(
    ("several", "level", "standbys", "doubt"),
    [
        (False, "on", "", None),
        (False, "local", "", None),
        (False, "off", "", "a crash of PostgreSQL"),
        (True, "on", "standby", None),
        (True, "on", "", "synchronous_standby_names is empty"),
        (True, "local", "standby", "synchronous_commit is local"),
        (True, "off", "standby", "a crash of PostgreSQL"),
    ],
)
async def test_what_a_failover_could_lose_is_told(
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    *,
    several: bool,
    level: str,
    standbys: str,
    doubt: str | None,
) -> None:
    monkeypatch.setattr(Database, "has_several_servers", several)
    # What a session can't set is looked up in its place.
    monkeypatch.setattr(
        "storage.confirming._WAIT_FOR",
        f"select '{level}'::text as level, '{standbys}'::text as standbys",
    )
    told = await doubt_of_commits(database)
    assert told is None if doubt is None else told is not None and doubt in told


async def test_what_the_server_is_set_to_is_read(dsn: str, database: Database) -> None:
    assert await doubt_of_commits(database) is None
    async with database.connection() as connection:
        name = await connection.fetchval("select current_database()")
        await connection.execute(f'alter database "{name}" set synchronous_commit = off')
    another = await Database.connect(dsn)
    told = await doubt_of_commits(another)
    await another.close()
    assert told is not None
    assert "synchronous_commit is off" in told
