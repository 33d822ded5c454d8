"""One run of a PostgreSQL server as our child."""

import asyncio
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import asyncpg

from storage.cluster import USER
from storage.errors import EmbeddedServerError
from storage.polling import until
from storage.site import ServerLog, Site

_POLL_S = 0.02

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
    # A statement's errors are the service's to report, and they can hold what callers sent.
    "log_min_messages": "log",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}


class ServerExitedError(EmbeddedServerError):
    """The server ended before it was ready; ``held``: remains of an earlier one are in its way."""

    def __init__(self, code: int, tail: str) -> None:
        super().__init__(f"PostgreSQL ended with code {code} before it was ready:\n{tail}")
        self.held = "still in use" in tail or "already exists" in tail


def make_dsn(socket_directory: Path, database: str) -> str:
    """A URL of a database on the server."""
    # It names a password file that is not there, so that none is looked for in a home directory.
    host = quote(str(socket_directory), safe="/")
    return f"postgresql://{USER}@/{database}?host={host}&port=5432&passfile={host}/none"


class Postmaster:
    """A server process from its start to its end."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: ServerLog) -> None:
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
        """End the server: cleanly in ``fast_s`` seconds, faster in ``immediate_s``, or by force."""
        steps = ((signal.SIGINT, fast_s), (signal.SIGQUIT, immediate_s), (signal.SIGKILL, None))
        for number, patience_s in steps:
            self._process.send_signal(number)
            if await until(lambda: self.exit_code() is not None, patience_s):
                return


def start_server(site: Site, socket_directory: Path, settings: Mapping[str, str]) -> Postmaster:
    """Start a server on the site's data; it is not ready yet."""
    settings = {**settings, "unix_socket_directories": str(socket_directory)}
    options = [f"--{name}={value}" for name, value in settings.items()]
    command = [site.program("postgres"), "-D", str(site.directory.cluster), *options]
    with site.log.open() as output:
        return Postmaster(site.launcher.start(command, output), site.log)


async def _accepts(dsn: str) -> bool:
    try:
        connection = await asyncpg.connect(dsn, timeout=2.0)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    connection.terminate()
    return True
