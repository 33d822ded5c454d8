"""The pool on a real server: what counts as away, and that it comes back."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest
import pytest_asyncio

from auction.ports import StorageUnavailableError
from storage.database import Connection, Database
from storage.embedded import EmbeddedServer
from tests.eventually import eventually
from tests.postgres_fixtures import QUICK

TERMINATE_OTHERS = """
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()
"""


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    server = EmbeddedServer(tmp_path / "data", settings=QUICK)
    await server.start()
    yield server
    await server.stop()


async def test_a_committed_transaction_stays_and_a_failed_one_does_not(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute("create table marks (id int primary key)")
        await connection.execute("insert into marks values (1)")
    with pytest.raises(RuntimeError, match="on purpose"):
        await mark_and_fail(database)
    assert await fetchval(database, "select array_agg(id) from marks") == [1]


async def test_an_error_of_the_data_passes_and_leaves_the_pool_whole(dsn: str) -> None:
    database = await Database.connect(dsn, max_size=1)
    for _ in range(3):
        with pytest.raises(asyncpg.UniqueViolationError):
            await insert_the_same_key_twice(database)
    pid = await fetchval(database, "select pg_backend_pid()")
    assert await fetchval(database, "select pg_backend_pid()") == pid
    await database.close()


async def test_statements_are_planned_once_however_they_are_asked(database: Database) -> None:
    assert await fetchval(database, "show plan_cache_mode") == "force_generic_plan"


async def test_a_statement_that_takes_too_long_is_unavailable(dsn: str) -> None:
    database = await Database.connect(dsn, max_size=1, command_timeout_s=0.05)
    with pytest.raises(StorageUnavailableError):
        await fetchval(database, "select pg_sleep(5)")
    assert await fetchval(database, "select 1") == 1
    await database.close()


async def test_a_pool_with_no_free_connection_is_unavailable_in_time(dsn: str) -> None:
    database = await Database.connect(dsn, max_size=1, acquire_timeout_s=0.05)
    async with database.connection():
        with pytest.raises(StorageUnavailableError):
            await fetchval(database, "select 1")
    assert await fetchval(database, "select 1") == 1
    await database.close()


@pytest.mark.parametrize("lend", ["connection", "transaction"])
async def test_a_terminated_backend_is_unavailable_and_replaced(dsn: str, lend: str) -> None:
    database = await Database.connect(dsn, max_size=1)
    other = await Database.connect(dsn, max_size=1)
    with pytest.raises(StorageUnavailableError):
        await work_while_killed(getattr(database, lend)(), other)
    assert await fetchval(database, "select 1") == 1
    await asyncio.gather(database.close(), other.close())


async def test_a_connection_that_died_while_idle_is_replaced_unnoticed(dsn: str) -> None:
    database = await Database.connect(dsn, max_size=1)
    old = await fetchval(database, "select pg_backend_pid()")
    other = await Database.connect(dsn, max_size=1)
    async with other.connection() as killer:
        await killer.execute(TERMINATE_OTHERS)

    async def replaced() -> bool:
        return bool(await fetchval(database, "select pg_backend_pid()") != old)

    await eventually(tolerant(replaced))
    await asyncio.gather(database.close(), other.close())


async def test_too_many_connections_is_unavailable(dsn: str, database: Database) -> None:
    name = await fetchval(database, "select current_database()")
    async with database.connection() as connection:
        await connection.execute(f'alter database "{name}" connection limit 1')
        # The limit does not hold for a superuser, who is all there is on an embedded server.
        if await connection.fetchval("select usesuper from pg_user where usename = current_user"):
            with pytest.raises(StorageUnavailableError):
                await raise_from_server(database, "53300")
            return
    with pytest.raises(StorageUnavailableError):
        await Database.connect(dsn, min_size=2)


@pytest.mark.parametrize(
    "state", ["08006", "25006", "53100", "53300", "55P03", "57014", "57P01", "57P03", "58030"]
)
async def test_states_of_a_server_in_trouble_are_unavailable(
    database: Database, state: str
) -> None:
    with pytest.raises(StorageUnavailableError, match=state):
        await raise_from_server(database, state)


@pytest.mark.parametrize("state", ["22012", "23505", "40001", "40P01", "42P01", "P0001"])
async def test_states_of_a_statement_in_trouble_pass(database: Database, state: str) -> None:
    with pytest.raises(asyncpg.PostgresError) as caught:
        await raise_from_server(database, state)
    assert caught.value.sqlstate == state


async def test_writing_where_only_reading_is_allowed_is_unavailable(database: Database) -> None:
    with pytest.raises(StorageUnavailableError, match="25006"):
        await write_where_forbidden(database)


async def test_nobody_listening_is_unavailable_without_naming_the_password(
    tmp_path: Path,
) -> None:
    with pytest.raises(StorageUnavailableError) as caught:
        await Database.connect(f"postgresql://u:hush@/db?host={tmp_path}")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["postgresql://u:hu/sh@host/db", "mysql://u:hush@host/db", "postgresql://u:hush@host:x/db"],
)
async def test_a_url_that_cannot_be_read_is_a_value_error_without_its_text(url: str) -> None:
    with pytest.raises(ValueError, match="database URL") as caught:
        await Database.connect(url)
    assert "hu" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_a_url_of_several_hosts_finds_the_one_that_is_there(dsn: str, tmp_path: Path) -> None:
    if "host=" not in dsn:
        pytest.skip("the given server is not named by a socket's directory")
    database = await Database.connect(
        dsn.replace("host=", f"host={tmp_path},").replace("port=5432", "port=5432,5432")
    )
    assert await fetchval(database, "select 1") == 1
    await database.close()


async def test_cancelling_leaves_at_once_and_gives_the_connection_back(dsn: str) -> None:
    database = await Database.connect(dsn, max_size=1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(make_table_and_sleep(database), 0.05)
    assert await fetchval(database, "select to_regclass('never')") is None
    await database.close()


async def test_a_server_that_hangs_holds_nobody_up(server: EmbeddedServer) -> None:
    database = await Database.connect(
        server.dsn, max_size=2, command_timeout_s=0.4, acquire_timeout_s=0.4
    )
    async with database.connection(), database.connection():
        pids = [server.pid, *backends_of(server)]
    with frozen(pids):
        with at_most(0.6), pytest.raises(StorageUnavailableError):
            await write(database)
        with at_most(0.2), pytest.raises(TimeoutError):
            await asyncio.wait_for(write(database), 0.1)
        with at_most(0.6), pytest.raises(StorageUnavailableError):
            await write(database)
    assert await eventually(tolerant(lambda: fetchval(database, "select 1"))) == 1
    await database.close()


async def test_cancelling_in_a_transaction_on_a_server_that_hangs_leaves_at_once(
    server: EmbeddedServer,
) -> None:
    database = await Database.connect(server.dsn, max_size=1)
    begun, hanging = asyncio.Event(), asyncio.Event()
    work = asyncio.create_task(write_when(database, begun, hanging))
    await begun.wait()
    with frozen([server.pid, *backends_of(server)]):
        hanging.set()
        await asyncio.wait([work], timeout=0.05)
        work.cancel()
        with at_most(0.2), pytest.raises(asyncio.CancelledError):
            await work
    assert await eventually(tolerant(lambda: fetchval(database, "select 1"))) == 1
    await database.close()


async def test_the_pool_recovers_when_the_server_is_stopped_and_started(
    server: EmbeddedServer,
) -> None:
    database = await Database.connect(server.dsn, max_size=3)
    assert await fetchval(database, "select 1") == 1
    await server.stop()
    for _ in range(5):
        with pytest.raises(StorageUnavailableError):
            await fetchval(database, "select 1")
    await server.start()
    answers = await asyncio.gather(*(fetchval(database, "select 1") for _ in range(10)))
    assert answers == [1] * 10
    await database.close()


async def test_work_under_way_when_the_server_stops_is_unavailable(
    server: EmbeddedServer,
) -> None:
    database = await Database.connect(server.dsn)
    work = asyncio.create_task(sleep_in(database, 30))
    await eventually(lambda: is_sleeping(database))
    await server.stop()
    with pytest.raises(StorageUnavailableError):
        await work
    await database.close()


async def test_closing_does_not_wait_for_work_under_way(database: Database) -> None:
    work = asyncio.create_task(sleep_in(database, 4))
    await eventually(lambda: is_sleeping(database))
    start = asyncio.get_running_loop().time()
    await database.close()
    assert asyncio.get_running_loop().time() - start < 3.5
    with pytest.raises(StorageUnavailableError):
        await work


async def test_a_closed_pool_is_unavailable(dsn: str) -> None:
    database = await Database.connect(dsn)
    await database.close()
    with pytest.raises(StorageUnavailableError):
        await fetchval(database, "select 1")


async def fetchval(database: Database, statement: str) -> object:
    async with database.connection() as connection:
        return await connection.fetchval(statement)


async def write(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute("create table if not exists marks (id int)")


async def write_where_forbidden(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute("set transaction read only")
        await connection.execute("create table never (id int)")


async def make_table_and_sleep(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute("create table never (id int)")
        await connection.execute("select pg_sleep(30)")


async def work_while_killed(lent: AbstractAsyncContextManager[Connection], other: Database) -> None:
    async with lent as connection:
        async with other.connection() as killer:
            await killer.execute(TERMINATE_OTHERS)
        await connection.execute("select 1")


async def write_when(database: Database, begun: asyncio.Event, hanging: asyncio.Event) -> None:
    async with database.transaction() as connection:
        begun.set()
        await hanging.wait()
        await connection.execute("create table never (id int)")


def backends_of(server: EmbeddedServer) -> list[int | None]:
    assert server.pid is not None
    return [process.pid for process in psutil.Process(server.pid).children()]


async def mark_and_fail(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute("insert into marks values (2)")
        message = "on purpose"
        raise RuntimeError(message)


async def insert_the_same_key_twice(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute("create temporary table twice (id int primary key) on commit drop")
        await connection.execute("insert into twice values (1), (1)")


async def raise_from_server(database: Database, state: str) -> None:
    async with database.connection() as connection:
        await connection.execute(f"do $$ begin raise sqlstate '{state}'; end $$")


async def sleep_in(database: Database, seconds: int) -> None:
    async with database.transaction() as connection:
        await connection.execute("select pg_sleep($1)", seconds)


async def is_sleeping(database: Database) -> bool:
    count = await fetchval(
        database, "select count(*) from pg_stat_activity where wait_event = 'PgSleep'"
    )
    return count == 1


def tolerant(probe: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[object]]:
    """The probe, with the database being away as a no."""

    async def answer() -> object:
        try:
            return await probe()
        except StorageUnavailableError:
            return None

    return answer


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    start = loop.time()
    yield
    assert loop.time() - start < seconds


@contextmanager
def frozen(pids: list[int | None]) -> Iterator[None]:
    """Processes that neither run nor end for a while."""
    known = [pid for pid in pids if pid is not None]
    for pid in known:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in known:
            os.kill(pid, signal.SIGCONT)
