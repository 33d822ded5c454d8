"""Several servers behind one URL, for real: the primary is found, and none that was passed by."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from auction.ports import StorageUnavailableError
from storage.database import Database
from storage.follower import RevisionFollower
from tests.eventually import eventually
from tests.postgres_cluster import Pair, a_pair

NAME = "calls"
WAITING = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'"


@pytest_asyncio.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    async with a_pair(tmp_path, NAME) as pair:
        yield pair


async def test_a_failover_is_followed_and_the_old_primary_is_never_used_again(pair: Pair) -> None:
    database = await Database.connect(pair.url(NAME), max_size=3)
    await run(database, "create table marks (mark integer)")
    told: list[int] = []
    follower = a_follower(database, told)
    follower.start(0)
    await run(database, "insert into marks values (1)")
    await eventually(lambda: told == [1])

    pair.primary.kill()
    with pytest.raises(StorageUnavailableError):
        await run(database, "insert into marks values (2)")
    await pair.standby.promote()
    await run(database, "insert into marks values (3)")
    await eventually(lambda: told == [1, 3])

    # It takes whatever comes, without waiting for anybody: as bad as it can get.
    await pair.primary.start()
    await pair.primary.configure("synchronous_standby_names", "")
    async with database.connection(), database.connection(), database.connection():
        pass
    await asyncio.gather(*(run(database, f"insert into marks values ({n})") for n in range(4, 20)))
    await eventually(lambda: told[-1] == 19)
    pair.standby.kill()
    for _ in range(3):
        with pytest.raises(StorageUnavailableError):
            await run(database, "insert into marks values (20)")
    assert await pair.primary.value("select max(mark) from marks", database=NAME) == 1
    await follower.stop()
    await database.close()


async def test_a_new_process_takes_the_newest_history_whatever_the_order(pair: Pair) -> None:
    await pair.primary.value("create table marks (mark integer)", database=NAME)
    pair.primary.kill()
    await pair.standby.promote()
    await pair.primary.start()
    await pair.primary.configure("synchronous_standby_names", "")
    for url in (pair.url(NAME), Pair(pair.standby, pair.primary).url(NAME)):
        database = await Database.connect(url)
        await run(database, "insert into marks values (1)")
        await database.close()
    assert await pair.standby.value("select count(*) from marks", database=NAME) == 2
    assert await pair.primary.value("select count(*) from marks", database=NAME) == 0


async def test_connections_to_a_primary_that_was_passed_by_are_dropped(pair: Pair) -> None:
    """It lives on, cut off from its standby: what is kept open to it must not be used."""
    database = await Database.connect(pair.url(NAME), max_size=3, command_timeout_s=0.5)
    await run(database, "create table marks (mark integer)")
    async with database.connection(), database.connection(), database.connection():
        pass
    told: list[int] = []
    follower = a_follower(database, told)
    follower.start(0)
    # Its walreceiver ends with the promotion: from here on nothing is confirmed to the primary.
    await pair.standby.promote()
    with pytest.raises(StorageUnavailableError):
        await run(database, "insert into marks values (1)")
    for mark in range(2, 6):
        await run(database, f"insert into marks values ({mark})")
    assert await pair.standby.value("select count(*) from marks", database=NAME) == 4
    await eventually(lambda: told[-1:] == [5])
    await follower.stop()
    await database.close()


async def test_a_commit_that_the_standby_did_not_confirm_is_neither_told_nor_seen(
    pair: Pair,
) -> None:
    database = await Database.connect(pair.url(NAME), max_size=3, command_timeout_s=0.5)
    await run(database, "create table marks (mark integer)")
    await pair.standby.stop()
    with pytest.raises(StorageUnavailableError):
        await run(database, "insert into marks values (1)")
    with pytest.raises(StorageUnavailableError):
        async with database.transaction() as connection:
            await connection.execute("insert into marks values (2)")
    # A statement that was cancelled while it waits would be committed, and seen, all the same.
    for _ in range(50):
        assert await value(database, "select count(*) from marks") == 0
    assert await value(database, WAITING) == 2
    await pair.standby.start()
    await eventually(lambda: counts(database, 2), within_s=20)
    await database.close()


async def test_a_server_that_swallows_everything_holds_no_connection_up(
    dsn: str, tmp_path: Path
) -> None:
    if "host=" not in dsn:
        pytest.skip("the given server is not named by a socket's directory")
    with a_silent_server(tmp_path / "silent"):
        both = dsn.replace("host=", f"host={tmp_path / 'silent'},")
        loop = asyncio.get_running_loop()
        start = loop.time()
        database = await Database.connect(both, acquire_timeout_s=2.0)
        assert await value(database, "select 1") == 1
        assert loop.time() - start < 1.5
        await database.close()


def a_follower(database: Database, told: list[int]) -> RevisionFollower:
    async def on_revision(revision: int) -> None:
        told.append(revision)

    query = "select coalesce(max(mark), 0) from marks"
    return RevisionFollower(database, "marks", query, on_revision)


async def run(database: Database, statement: str) -> None:
    async with database.connection() as connection:
        await connection.execute(statement)


async def value(database: Database, statement: str) -> object:
    async with database.connection() as connection:
        return await connection.fetchval(statement)


async def counts(database: Database, wanted: int) -> bool:
    return await value(database, "select count(*) from marks") == wanted


@contextmanager
def a_silent_server(folder: Path) -> Iterator[None]:
    """A server that takes connections and never says a word, as behind a broken network."""
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / ".s.PGSQL.5432"))
        listener.listen(64)
        yield
