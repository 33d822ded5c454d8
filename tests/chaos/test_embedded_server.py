"""The embedded server when processes are killed and files lie."""

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
import pytest_asyncio

from storage import account
from storage.account import Account, Launcher, make_launcher
from storage.embedded import EmbeddedServer, running_dsn
from storage.errors import EmbeddedServerError
from tests.eventually import eventually

pytestmark = pytest.mark.chaos

OWNER = Path(__file__).parents[1] / "embedded_owner.py"
PYTHON = Path(sys.executable).resolve()
LOG = logging.getLogger(__name__)
ORDINARY = Account(65534, 65534)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def data() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pingpost-chaos-") as folder:
        yield Path(folder) / "data"


@pytest_asyncio.fixture
async def server(data: Path) -> AsyncIterator[EmbeddedServer]:
    server = EmbeddedServer(data)
    await server.start()
    yield server
    await server.stop()
    assert not servers_on(data)


async def test_a_killed_server_is_restarted_with_all_that_was_committed(
    server: EmbeddedServer,
) -> None:
    await execute(server.dsn, "create table marks (id int)")
    for number in range(3):
        await execute(server.dsn, f"insert into marks values ({number})")
        killed = server.pid
        kill(killed)
        await eventually(lambda: server.pid not in {None, killed}, within_s=20)  # noqa: B023 - now
        assert await eventually(lambda: count_marks(server.dsn), within_s=20) == number + 1


async def test_a_killed_backend_does_not_end_the_server(server: EmbeddedServer) -> None:
    await execute(server.dsn, "create table marks (id int); insert into marks values (1)")
    connection = await asyncpg.connect(server.dsn)
    before = server.pid
    kill(connection.get_server_pid())
    await eventually(connection.is_closed)
    assert await eventually(lambda: count_marks(server.dsn), within_s=20) == 1
    assert server.pid == before


async def test_a_server_that_was_shut_down_from_outside_is_restarted(
    server: EmbeddedServer,
) -> None:
    before = server.pid
    assert before is not None
    psutil.Process(before).send_signal(signal.SIGINT)
    await eventually(lambda: server.pid not in {None, before}, within_s=20)
    assert await eventually(lambda: answers(server.dsn), within_s=20)


async def test_a_server_killed_while_it_recovers_is_restarted_again(
    server: EmbeddedServer,
) -> None:
    await execute(server.dsn, "create table marks as select generate_series(1, 200000) as id")
    for _ in range(3):
        killed = await eventually(lambda: server.pid, within_s=30)
        kill(killed)
        await eventually(lambda: server.pid != killed, within_s=30)  # noqa: B023 - at once
    assert await eventually(lambda: count_marks(server.dsn), within_s=60) == 200_000


async def test_stopping_while_the_server_is_being_restarted_leaves_nothing(data: Path) -> None:
    server = EmbeddedServer(data)
    await server.start()
    killed = server.pid
    kill(killed)
    await eventually(lambda: server.pid != killed, every_s=0.001)
    await server.stop()
    assert not servers_on(data)


async def test_stopping_a_killed_server_ends_the_processes_that_outlive_it(data: Path) -> None:
    server = EmbeddedServer(data)
    await server.start()
    connection = await asyncpg.connect(server.dsn)
    # Stopped, it can't find out that its server is gone.
    psutil.Process(connection.get_server_pid()).suspend()
    kill(server.pid)
    await server.stop()
    assert not servers_on(data)
    connection.terminate()


async def test_processes_that_outlive_their_server_are_ended(server: EmbeddedServer) -> None:
    connection = await asyncpg.connect(server.dsn)
    backend = psutil.Process(connection.get_server_pid())
    killed = server.pid
    backend.suspend()
    kill(killed)
    await eventually(lambda: server.pid not in {None, killed}, within_s=30)
    assert await eventually(lambda: answers(server.dsn), within_s=30)
    await eventually(lambda: has_ended(backend))
    connection.terminate()


async def test_a_killed_service_takes_its_server_along(data: Path) -> None:
    async with owner(data) as (process, facts):
        await execute(
            str(facts["dsn"]), "create table marks (id int); insert into marks values (1)"
        )
        process.kill()
        await process.wait()
        await eventually(lambda: not servers_on(data), within_s=10)
    assert running_dsn(data) is None
    async with owner(data) as (_, facts):
        assert await count_marks(str(facts["dsn"])) == 1


async def test_a_service_that_follows_a_killed_one_at_once_waits_for_its_server(
    data: Path,
) -> None:
    async with owner(data) as (process, facts):
        await execute(
            str(facts["dsn"]), "create table marks (id int); insert into marks values (1)"
        )
        # Frozen, it can't shut down as quickly as the next service comes.
        server = psutil.Process(int(str(facts["pid"])))
        server.suspend()
        process.kill()
        await process.wait()
        next_server = EmbeddedServer(data)
        starting = asyncio.create_task(next_server.start())
        await asyncio.wait([starting], timeout=0.5)
        assert not starting.done()
        server.resume()
        assert await count_marks(await starting) == 1
        await next_server.stop()


@pytest.mark.parametrize("order", [("owner", "server"), ("server", "owner")])
async def test_a_killed_service_and_server_leave_data_that_starts_again(
    data: Path, order: tuple[str, str]
) -> None:
    async with owner(data) as (process, facts):
        await execute(
            str(facts["dsn"]), "create table marks (id int); insert into marks values (1)"
        )
        pids = {"owner": process.pid, "server": int(str(facts["pid"]))}
        for name in order:
            kill(pids[name])
        await process.wait()
        await eventually(lambda: not servers_on(data), within_s=10)
    assert (data / "postgres" / "postmaster.pid").exists()
    async with owner(data) as (_, facts):
        assert await count_marks(str(facts["dsn"])) == 1


@pytest.mark.parametrize("may_look_into_it", [True, False])
async def test_a_server_that_nobody_ended_is_ended_by_the_next_service(
    monkeypatch: pytest.MonkeyPatch, may_look_into_it: bool
) -> None:
    monkeypatch.setattr(account, "find_setpriv", lambda: None)
    if not may_look_into_it:
        monkeypatch.setattr(psutil.Process, "cwd", refuse)
    with tempfile.TemporaryDirectory(prefix="pingpost-chaos-") as folder:
        os.chmod(folder, 0o755)  # noqa: PTH101 - short
        orphan = EmbeddedServer(Path(folder) / "data")
        dsn = await orphan.start()
        await execute(dsn, "create table marks (id int); insert into marks values (1)")
        left = forget(orphan)
        following = EmbeddedServer(Path(folder) / "data")
        assert await count_marks(await following.start()) == 1
        assert left.poll() == 0
        await following.stop()


@pytest.mark.parametrize("content", ["{pid}\n", "{pid}", "1\n", "", "\0\0\0", "nonsense\n", "-1\n"])
async def test_a_pid_file_that_names_another_program_is_no_hindrance(
    data: Path, content: str
) -> None:
    await make_data(data)
    bystander = await asyncio.create_subprocess_exec("sleep", "60", **as_the_owner_of(data))
    pid_file = data / "postgres" / "postmaster.pid"
    pid_file.write_text(content.format(pid=bystander.pid))
    server = EmbeddedServer(data)
    assert await answers(await server.start())
    await server.stop()
    assert bystander.returncode is None
    bystander.kill()
    await bystander.wait()


async def test_a_pid_file_that_names_the_service_itself_is_no_hindrance(data: Path) -> None:
    await make_data(data)
    (data / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n{data}/postgres\n")
    server = EmbeddedServer(data)
    assert await answers(await server.start())
    await server.stop()


async def test_a_pid_file_that_names_another_postgresql_is_no_hindrance(
    server: EmbeddedServer, data: Path
) -> None:
    other = data.parent / "other"
    await make_data(other)
    (other / "postgres" / "postmaster.pid").write_text(f"{server.pid}\n")
    second = EmbeddedServer(other)
    assert await answers(await second.start())
    await second.stop()
    assert await answers(server.dsn)


async def test_a_second_service_is_refused_and_the_first_goes_on(data: Path) -> None:
    async with owner(data) as (_, facts):
        with pytest.raises(EmbeddedServerError, match="another service is running"):
            await EmbeddedServer(data).start()
        assert await answers(str(facts["dsn"]))
        assert running_dsn(data) == facts["dsn"]


@pytest.mark.parametrize("after_s", [0.02, 0.1, 0.2, 0.3, 0.5])
async def test_a_service_killed_while_it_starts_the_first_time_can_start_again(
    data: Path, after_s: float
) -> None:
    process = await start_owner(data)
    await asyncio.wait([asyncio.create_task(process.wait())], timeout=after_s)
    process.kill()
    await process.wait()
    server = EmbeddedServer(data)
    assert await answers(await server.start())
    assert half_made_in(data) == []
    await server.stop()


async def test_half_made_data_is_made_anew(data: Path) -> None:
    make_half(data / "postgres.new-abc")
    server = EmbeddedServer(data)
    assert await answers(await server.start())
    await server.stop()
    assert half_made_in(data) == []


async def test_a_long_path_survives_the_death_of_service_and_server(data: Path) -> None:
    long = data / ("x" * 100)
    async with owner(long) as (process, facts):
        process.kill()
        kill(int(str(facts["pid"])))
        await process.wait()
        old = socket_directory_of(long)
    assert is_there(old)
    async with owner(long) as (_, facts):
        assert await answers(str(facts["dsn"]))
        assert not is_there(old)


@as_root
async def test_an_ordinary_user_can_run_it_and_its_death_takes_the_server_along() -> None:
    with tempfile.TemporaryDirectory(prefix="pingpost-chaos-") as folder:
        os.chown(folder, ORDINARY.uid, ORDINARY.gid)
        data = Path(folder) / "data"
        async with owner(data, ORDINARY) as (process, facts):
            assert facts["uid"] == ORDINARY.uid
            assert psutil.Process(int(str(facts["pid"]))).uids().real == ORDINARY.uid
            assert await answers(str(facts["dsn"]))
            process.kill()
            await process.wait()
            await eventually(lambda: not servers_on(data), within_s=10)
        async with owner(data, ORDINARY) as (_, facts):
            assert await answers(str(facts["dsn"]))


@as_root
async def test_data_of_an_ordinary_user_is_run_by_root_as_that_user() -> None:
    with tempfile.TemporaryDirectory(prefix="pingpost-chaos-") as folder:
        os.chown(folder, ORDINARY.uid, ORDINARY.gid)
        data = Path(folder) / "data"
        async with owner(data, ORDINARY):
            pass
        server = EmbeddedServer(data)
        assert await answers(await server.start())
        await server.stop()
        async with owner(data, ORDINARY) as (_, facts):
            assert await answers(str(facts["dsn"]))


@asynccontextmanager
async def owner(
    data: Path, user: Account | None = None
) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, object]]]:
    """A process that runs a server on ``data``, and what it says; nothing is left of either."""
    process = await start_owner(data, user)
    assert process.stdout is not None
    try:
        said = await asyncio.wait_for(process.stdout.readline(), 60)
        facts: dict[str, object] = json.loads(said)
        assert "error" not in facts, facts
        yield process, facts
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 20)
        await eventually(lambda: not servers_on(data), within_s=10)


async def start_owner(data: Path, user: Account | None = None) -> asyncio.subprocess.Process:
    launcher = make_launcher(user, (PYTHON, OWNER, data), LOG) if user else Launcher()
    return await asyncio.create_subprocess_exec(
        *launcher.prefix,
        sys.executable,
        str(OWNER),
        str(data),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )


async def make_data(data: Path) -> None:
    server = EmbeddedServer(data)
    await server.start()
    await server.stop()


def forget(server: EmbeddedServer) -> "subprocess.Popen[bytes]":
    """Leave the server alone, as a service does that dies where nothing ends it."""
    assert server._supervisor is not None
    assert server._postmaster is not None
    server._supervisor.cancel()
    server._lock.release()
    return server._postmaster._process


def as_the_owner_of(data: Path) -> dict[str, Any]:
    """Options that start a program as the user whom PostgreSQL runs as."""
    status = (data / "postgres").stat()
    if os.geteuid() != 0:
        return {}
    return {"user": status.st_uid, "group": status.st_gid, "extra_groups": [], "cwd": "/"}


def refuse(process: psutil.Process) -> str:
    raise psutil.AccessDenied(process.pid)


def make_half(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "PG_VERSION").write_text("18\n")


def half_made_in(data: Path) -> list[Path]:
    return list(data.glob("postgres.new-*"))


def socket_directory_of(data: Path) -> Path:
    return Path(json.loads((data / "postgres.json").read_text())["socket_directory"])


def is_there(path: Path) -> bool:
    return path.is_dir()


async def execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def count_marks(dsn: str) -> int | None:
    """How many rows there are, None while the server is away."""
    with suppress(OSError, asyncpg.PostgresError):
        connection = await asyncpg.connect(dsn, timeout=5)
        try:
            count: int = await connection.fetchval("select count(*) from marks")
        finally:
            connection.terminate()
        return count
    return None


async def answers(dsn: str) -> bool:
    with suppress(OSError, asyncpg.PostgresError):
        await execute(dsn, "select 1")
        return True
    return False


def kill(pid: int | None) -> None:
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def has_ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def servers_on(data: Path) -> list[psutil.Process]:
    """Every PostgreSQL process that works in this data directory."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.name() == "postgres" and process.cwd() == str(data / "postgres"):
                found.append(process)
    return found
