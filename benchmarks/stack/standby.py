"""A second PostgreSQL that confirms each commit of the first."""

import asyncio
import logging
import os
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import asyncpg

from storage.account import Account, Launcher, choose_account, make_launcher
from storage.cluster import USER
from storage.errors import EmbeddedServerError
from storage.postmaster import SETTINGS
from storage.programs import programs_for

NAME: Final = "standby"
READY_S: Final = 60.0
_POLL_S: Final = 0.05
_IS_SYNCHRONOUS: Final = "select count(*) from pg_stat_replication where sync_state = 'sync'"


@asynccontextmanager
async def synchronous_standby(dsn: str, folder: Path) -> AsyncIterator[None]:
    """A standby of the embedded server at ``dsn``, with the same settings, its data in ``folder``.

    Raises EmbeddedServerError with what it said when it does not get ready.
    """
    sockets = parse_qs(urlsplit(dsn).query)["host"][0]
    account = choose_account(folder / "none")
    data = _make_folders(folder, account)
    launcher = make_launcher(account, (folder,), logging.getLogger(__name__))
    programs = programs_for(account, folder)
    source = f"host={sockets} port=5432 user={USER}"
    copy = ("pg_basebackup", "-D", str(data), "-R", "-c", "fast", "-d", source)
    if await asyncio.to_thread(_start(launcher, programs, copy, folder).wait, READY_S) != 0:
        raise EmbeddedServerError(_said(folder))
    settings = {**SETTINGS, "unix_socket_directories": str(folder), "cluster_name": NAME}
    options = [f"--{name}={value}" for name, value in settings.items()]
    server = _start(launcher, programs, ("postgres", "-D", str(data), *options), folder)
    try:
        await _confirm(dsn, server, folder)
        yield
    finally:
        server.terminate()
        with suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(server.wait, 10)
        server.kill()


def _make_folders(folder: Path, account: Account | None) -> Path:
    data = folder / "data"
    folder.mkdir(mode=0o755)
    data.mkdir(mode=0o700)
    if account is not None:
        for path in (folder, data):
            os.chown(path, account.uid, account.gid)
    return data


async def _confirm(dsn: str, server: "subprocess.Popen[bytes]", folder: Path) -> None:
    """Have every commit wait for the standby, from now on."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f"alter system set synchronous_standby_names = '{NAME}'")
        await connection.execute("select pg_reload_conf()")
        async with asyncio.timeout(READY_S):
            while not await connection.fetchval(_IS_SYNCHRONOUS):
                if server.poll() is not None:
                    raise EmbeddedServerError(_said(folder))
                await asyncio.sleep(_POLL_S)
    finally:
        connection.terminate()


def _start(
    launcher: Launcher, programs: Path, command: Sequence[str], folder: Path
) -> "subprocess.Popen[bytes]":
    with (folder / "log").open("ab") as output:
        return launcher.start((str(programs / command[0]), *command[1:]), output)


def _said(folder: Path) -> str:
    return (folder / "log").read_text(errors="replace")[-2000:]
