"""The embedded PostgreSQL: one server in a data directory, kept running while the service lives."""

import asyncio
import logging
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import asyncpg
import psutil

from storage.account import choose_account, make_launcher
from storage.cluster import make_cluster
from storage.data_directory import (
    SOCKET_DIRECTORY_PREFIX,
    DataDirectory,
    DirectoryLock,
    answers,
    check_reachable,
    is_closed,
    make_socket_directory,
    remove_directory,
)
from storage.errors import EmbeddedServerError
from storage.leftovers import clear_leftovers, end_stragglers
from storage.postmaster import SETTINGS, Postmaster, ServerExitedError, make_dsn, start_server
from storage.programs import programs_for
from storage.queries import query
from storage.site import ServerLog, Site

DATABASE = "pingpost"
READY_S = 300.0
FAST_STOP_S = 5.0
IMMEDIATE_STOP_S = 1.5
_WATCH_S = 0.1
_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 10.0
_STEADY_S = 60.0
_RETRY_S = 1.0
_HELD_S = 60.0
_TRIM_S = 60.0

_HAS_DATABASE = query("embedded_has_database")
_CREATE_DATABASE = query("embedded_create_database")


class EmbeddedServer:
    """A PostgreSQL of our own; start it in a thread that stays. ``settings`` override the usual."""

    def __init__(
        self,
        data_dir: Path,
        log: logging.Logger | None = None,
        *,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._directory = DataDirectory.at(data_dir)
        self._log = log or logging.getLogger(__name__)
        self._settings = {**SETTINGS, **(settings or {})}
        self._lock = DirectoryLock(self._directory)
        self._socket_directory: Path | None = None
        self._postmaster: Postmaster | None = None
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def dsn(self) -> str:
        """The URL of the service's database. Raises EmbeddedServerError when it was not started."""
        return make_dsn(self._sockets, DATABASE)

    @property
    def pid(self) -> int | None:
        """The server's process id, None when it is not running."""
        running = self._postmaster is not None and self._postmaster.exit_code() is None
        return self._postmaster.pid if running and self._postmaster else None

    async def start(self) -> str:
        """Start the server, making its data the first time, and return the database's URL.

        Takes a second, more after a crash. Raises EmbeddedServerError with the server's last words.
        """
        if self._supervisor is not None:
            message = "the embedded PostgreSQL is running already"
            raise EmbeddedServerError(message)
        try:
            site = await self._prepare()
            await self._bring_up(site)
            await _make_database(self._sockets)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            await self.stop()
            message = f"PostgreSQL can't be started in {self._directory.root}: {error}"
            raise EmbeddedServerError(message) from error
        except BaseException:
            await self.stop()
            raise
        self._supervisor = asyncio.create_task(self._supervise(site))
        return self.dsn

    async def stop(self, fast_s: float = FAST_STOP_S) -> None:
        """End the server and leave nothing running; does nothing when it is not running.

        Past ``fast_s`` seconds it ends without writing everything back, as after a crash: nothing
        is lost, the next start takes longer.
        """
        # The last comes first; each runs whatever the others raise.
        async with AsyncExitStack() as steps:
            steps.callback(self._lock.release)
            steps.callback(self._remove_sockets)
            steps.push_async_callback(self._end_server, fast_s)
            steps.push_async_callback(self._end_supervision)

    @property
    def _sockets(self) -> Path:
        if self._socket_directory is None:
            message = "the embedded PostgreSQL has not been started"
            raise EmbeddedServerError(message)
        return self._socket_directory

    async def _prepare(self) -> Site:
        directory = self._directory
        account = choose_account(directory.cluster)
        directory.create(account)
        await self._lock.acquire()
        check_reachable(directory, account)
        await clear_leftovers(directory.cluster, self._log)
        _remove_old_sockets(directory)
        sockets = self._socket_directory = make_socket_directory(directory, account)
        programs = programs_for(account, directory.root)
        needed = (directory.cluster, sockets, programs / "postgres")
        launcher = make_launcher(account, needed, self._log)
        site = Site(directory, account, launcher, programs, ServerLog(directory.log_file))
        await make_cluster(site)
        return site

    async def _bring_up(self, site: Site) -> None:
        """Start the server, and again for as long as what an earlier one has left is in its way."""
        patience = asyncio.get_running_loop().time() + _HELD_S
        delay_s = _FIRST_DELAY_S
        while True:
            try:
                await self._launch(site)
            except ServerExitedError as error:
                if not error.held or asyncio.get_running_loop().time() > patience:
                    raise
            else:
                return
            await end_stragglers(self._directory.cluster)
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, _LONGEST_DELAY_S)

    async def _launch(self, site: Site) -> None:
        directory, sockets = self._directory, self._sockets
        await clear_leftovers(directory.cluster, self._log)
        if not is_closed(sockets, os.geteuid() if site.account is None else site.account.uid):
            message = f"the socket directory {sockets} is gone or not PostgreSQL's alone"
            raise EmbeddedServerError(message)
        for old in sockets.iterdir():
            # A lock file here may name a process that is another program by now.
            old.unlink()
        self._postmaster = start_server(site, sockets, self._settings)
        await self._postmaster.until_ready(make_dsn(sockets, "postgres"), READY_S)
        directory.write_runtime({"socket_directory": str(sockets), "pid": self._postmaster.pid})

    async def _supervise(self, site: Site) -> None:
        delay_s = _FIRST_DELAY_S
        while True:
            try:
                lived_s = await self._watch(site.log)
                steady = lived_s > _STEADY_S
                delay_s = _FIRST_DELAY_S if steady else min(2 * delay_s, _LONGEST_DELAY_S)
                await asyncio.sleep(delay_s)
                await self._restart(site)
            except Exception:  # noqa: BLE001 - a server that nobody watches stays down
                self._log.exception(
                    "Watching PostgreSQL failed and goes on", extra={"action": "embedded_watch"}
                )
                await asyncio.sleep(_RETRY_S)

    async def _restart(self, site: Site) -> None:
        try:
            await self._bring_up(site)
        except (EmbeddedServerError, OSError, psutil.Error) as error:
            self._log.error(
                "PostgreSQL can't be restarted: %s", error, extra={"action": "embedded_failed"}
            )
            await self._end_server()
        except Exception:
            await self._end_server()
            raise

    async def _watch(self, server_log: ServerLog) -> float:
        """Wait until the server has ended, and return how many seconds that took."""
        loop = asyncio.get_running_loop()
        start = trimmed = loop.time()
        while self.pid is not None:
            await asyncio.sleep(_WATCH_S)
            if loop.time() - trimmed > _TRIM_S:
                trimmed = loop.time()
                self._trim(server_log)
        if self._postmaster is not None:
            self._log.error(
                "PostgreSQL has died and is restarted",
                extra={"action": "embedded_died", "exit_code": self._postmaster.exit_code()},
            )
        return loop.time() - start

    def _trim(self, server_log: ServerLog) -> None:
        try:
            server_log.trim()
        except OSError as error:
            self._log.warning(
                "PostgreSQL's log can't be cut: %s", error, extra={"action": "embedded_log"}
            )

    async def _end_supervision(self) -> None:
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.cancel()
            with suppress(asyncio.CancelledError):
                await supervisor

    def _remove_sockets(self) -> None:
        sockets, self._socket_directory = self._socket_directory, None
        if sockets is not None:
            self._directory.runtime_file.unlink(missing_ok=True)
            remove_directory(sockets)

    async def _end_server(self, fast_s: float = FAST_STOP_S) -> None:
        postmaster, self._postmaster = self._postmaster, None
        if postmaster is not None:
            await postmaster.stop(fast_s, IMMEDIATE_STOP_S)
            if postmaster.exit_code() != 0:
                # One that was killed has told its processes nothing; they find out by themselves.
                await end_stragglers(self._directory.cluster)


def running_dsn(data_dir: Path) -> str | None:
    """The URL of the database that a service runs in ``data_dir``, None when none answers there."""
    directory = DataDirectory.at(data_dir)
    named = directory.read_runtime().get("socket_directory")
    if not isinstance(named, str) or not directory.cluster.exists():
        return None
    # A short directory that was left behind may be someone else's by now.
    sockets = Path(named)
    ours = is_closed(sockets, directory.cluster.stat().st_uid)
    return make_dsn(sockets, DATABASE) if ours and answers(sockets) else None


def _remove_old_sockets(directory: DataDirectory) -> None:
    """Remove the short socket directory of a service that was killed."""
    old = directory.read_runtime().get("socket_directory")
    if isinstance(old, str) and Path(old).name.startswith(SOCKET_DIRECTORY_PREFIX):
        remove_directory(Path(old))
    directory.runtime_file.unlink(missing_ok=True)


async def _make_database(socket_directory: Path) -> None:
    connection = await asyncpg.connect(make_dsn(socket_directory, "postgres"), timeout=30.0)
    try:
        if not await connection.fetchval(_HAS_DATABASE, DATABASE):
            await connection.execute(_CREATE_DATABASE)
    finally:
        connection.terminate()
