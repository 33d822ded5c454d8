"""What an earlier service may have left: a server that still runs, or a file that names one."""

import logging
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from storage.errors import EmbeddedServerError
from storage.polling import until

_PROGRAM = "postgres"

# First in silence: a server whose service was killed is already on its way down.
_STEPS: tuple[tuple[signal.Signals | None, float], ...] = (
    (None, 2.0),
    (signal.SIGINT, 30.0),
    (signal.SIGQUIT, 10.0),
    (signal.SIGKILL, 10.0),
)


async def clear_leftovers(cluster: Path, log: logging.Logger) -> None:
    """End a server that still runs on this data, and remove a pid file that names another program.

    The caller holds the directory's lock. A pid file whose process is gone stays: PostgreSQL uses
    it to find processes that outlived their server. Raises EmbeddedServerError when a server can't
    be ended.
    """
    pid_file = cluster / "postmaster.pid"
    if not pid_file.exists():
        return
    pid = read_pid(pid_file)
    server = None if pid is None else find_server(pid, cluster)
    if server is not None:
        log.warning(
            "a PostgreSQL of an earlier service still runs here",
            extra={"action": "embedded_leftover_server", "pid": pid},
        )
        await _end(server)
    elif pid is None or psutil.pid_exists(pid):
        log.warning(
            "postmaster.pid names no PostgreSQL of ours",
            extra={"action": "embedded_stale_pid_file", "pid": pid},
        )
        pid_file.unlink(missing_ok=True)


async def end_stragglers(cluster: Path) -> None:
    """End processes that outlived their server and keep its shared memory."""
    for process in list(_working_in(cluster)):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGQUIT)
            if not await _gone(process, 2.0):
                process.kill()
                await _gone(process, 2.0)


def read_pid(pid_file: Path) -> int | None:
    """The process a pid file names, None when it names none."""
    try:
        first = pid_file.read_text("utf-8", errors="replace").split("\n", 1)[0].strip()
    except FileNotFoundError:
        return None
    return int(first) if first.isascii() and first.isdigit() and int(first) > 1 else None


def find_server(pid: int, cluster: Path) -> psutil.Process | None:
    """The process with this pid when it is a PostgreSQL running on ``cluster``."""
    try:
        process = psutil.Process(pid)
        return process if _runs_on(process, cluster) else None
    except psutil.NoSuchProcess:
        return None


def _runs_on(process: psutil.Process, cluster: Path) -> bool:
    if process.name() != _PROGRAM:
        return False
    try:
        return process.cwd() == str(cluster)
    except psutil.AccessDenied:
        # A container's root may not look into another user's process, but its arguments are public.
        return str(cluster) in process.cmdline()


def _working_in(cluster: Path) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if _runs_on(process, cluster):
                yield process


async def _end(server: psutil.Process) -> None:
    for number, patience_s in _STEPS:
        with suppress(psutil.NoSuchProcess):
            if number is not None:
                server.send_signal(number)
        if await _gone(server, patience_s):
            return
    message = f"the PostgreSQL with pid {server.pid} does not end"
    raise EmbeddedServerError(message)


async def _gone(process: psutil.Process, patience_s: float) -> bool:
    return await until(lambda: _has_ended(process), patience_s)


def _has_ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
