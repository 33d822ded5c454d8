"""Real PostgreSQL servers that stand in for one another: a primary and its synchronous standby."""

import asyncio
import logging
import os
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import psutil

from storage.account import Account, Launcher, choose_account, make_launcher
from storage.programs import programs_for
from tests.eventually import eventually
from tests.service_process import free_port

USER = "pingpost"
STANDBY = "standby"
WITHIN_S = 60.0
_CONFIRMING = "select count(*) from pg_stat_replication where sync_state = 'sync'"

# What a test's database holds is worth nothing after a crash of the machine; a kill loses nothing.
SETTINGS: Mapping[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "120",
    "shared_buffers": "32MB",
    "wal_receiver_status_interval": "1s",
    "wal_retrieve_retry_interval": "200ms",
    "io_method": "sync",
    "jit": "off",
    "timezone": "UTC",
}


@dataclass(slots=True)
class DatabaseServer:
    """One PostgreSQL on its own data; ``prefix`` stands before its command (a namespace)."""

    name: str
    folder: Path
    host: str
    port: int
    programs: Path
    account: Account | None
    launcher: Launcher
    prefix: Sequence[str] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def data(self) -> Path:
        """Its data directory."""
        return self.folder / self.name

    @property
    def dsn(self) -> str:
        """The URL of this server alone."""
        return f"postgresql://{USER}@{self.host}:{self.port}/postgres?sslmode=disable"

    async def make(self) -> None:
        """Make its data, open to the networks of the tests."""
        await self._run("initdb", "--username", USER, "--auth", "trust", "--no-sync")
        with (self.data / "pg_hba.conf").open("a") as file:
            file.write("host all all 10.0.0.0/8 trust\nhost replication all 10.0.0.0/8 trust\n")

    async def copy(self, primary: "DatabaseServer") -> None:
        """Make its data a standby's of ``primary``, which runs."""
        source = f"host={primary.host} port={primary.port} user={USER}"
        options = ("--write-recovery-conf", "--checkpoint", "fast", "--no-sync")
        await self._run("pg_basebackup", "--dbname", source, *options)

    async def start(self) -> None:
        """Start it and wait until it takes connections."""
        settings = {
            **SETTINGS,
            # The name that a standby gives its primary.
            "cluster_name": self.name,
            "listen_addresses": self.host,
            "port": str(self.port),
            "unix_socket_directories": "",
            **self.settings,
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        command = [str(self.programs / "postgres"), "-D", str(self.data), *options]
        self.process = self._launch(command)
        await eventually(self._is_up, within_s=WITHIN_S)

    def kill(self) -> None:
        """SIGKILL to the server and all its processes, as a machine that loses its power."""
        assert self.process is not None
        server = psutil.Process(self.process.pid)
        for process in (server, *server.children()):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()

    async def stop(self) -> None:
        """End it, if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(3)
            try:
                await asyncio.to_thread(self.process.wait, 20)
            except subprocess.TimeoutExpired:
                self.kill()

    async def answers(self) -> bool:
        """Whether it takes connections."""
        try:
            await self.value("select 1")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        return True

    async def _is_up(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise RuntimeError(self.log)
        return await self.answers()

    async def value(self, statement: str, *arguments: object, database: str = "postgres") -> object:
        """The first value of a statement."""
        connection = await asyncpg.connect(
            self.dsn.replace("/postgres?", f"/{database}?"), timeout=5, command_timeout=20
        )
        try:
            return await connection.fetchval(statement, *arguments)
        finally:
            connection.terminate()

    async def configure(self, name: str, value: str) -> None:
        """Change a setting of the running server."""
        await self.value(f"alter system set {name} = '{value}'")
        await self.value("select pg_reload_conf()")

    async def promote(self) -> None:
        """Make a standby the primary."""
        assert await self.value("select pg_promote(true, 30)")

    @property
    def log(self) -> str:
        """The end of what it said."""
        return self._log_file.read_text(errors="replace")[-3000:]

    @property
    def _log_file(self) -> Path:
        return self.folder / f"{self.name}.log"

    async def _run(self, program: str, *arguments: str) -> None:
        self.data.mkdir(mode=0o700)
        if self.account is not None:
            os.chown(self.data, self.account.uid, self.account.gid)
        process = self._launch([str(self.programs / program), "-D", str(self.data), *arguments])
        code = await asyncio.to_thread(process.wait, WITHIN_S)
        assert code == 0, self.log

    def _launch(self, command: Sequence[str]) -> "subprocess.Popen[bytes]":
        launcher = Launcher((*self.prefix, *self.launcher.prefix), self.launcher.account)
        with self._log_file.open("ab") as output:
            return launcher.start(command, output)


def a_server(
    folder: Path,
    name: str,
    host: str = "127.0.0.1",
    *,
    port: int | None = None,
    prefix: Sequence[str] = (),
) -> DatabaseServer:
    """A server in ``folder`` that is neither made nor started yet."""
    account = choose_account(folder / "nothing")
    launcher = make_launcher(account, (folder,), logging.getLogger(__name__))
    programs = programs_for(account, folder)
    return DatabaseServer(
        name, folder, host, port or free_port(), programs, account, launcher, prefix
    )


@dataclass(frozen=True, slots=True)
class Pair:
    """A primary with its synchronous standby."""

    primary: DatabaseServer
    standby: DatabaseServer

    def url(self, database: str) -> str:
        """The URL that names both, the primary first."""
        hosts = ",".join(f"{each.host}:{each.port}" for each in (self.primary, self.standby))
        return f"postgresql://{USER}@{hosts}/{database}?sslmode=disable"

    async def is_synchronous(self) -> bool:
        """Whether commits on the primary wait for the standby."""
        return bool(await self.primary.value(_CONFIRMING))


@asynccontextmanager
async def a_pair(folder: Path, database: str) -> AsyncIterator[Pair]:
    """Both servers, running, with a database of that name and nothing in it."""
    pair = Pair(a_server(folder, "primary"), a_server(folder, STANDBY))
    try:
        await pair.primary.make()
        await pair.primary.start()
        await pair.primary.value(f"create database {database}")
        await pair.standby.copy(pair.primary)
        await pair.standby.start()
        await pair.primary.configure("synchronous_standby_names", STANDBY)
        await eventually(pair.is_synchronous, within_s=WITHIN_S)
        yield pair
    finally:
        await pair.standby.stop()
        await pair.primary.stop()
