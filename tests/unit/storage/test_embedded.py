"""The embedded server's supervision, whatever fails around it."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from storage.embedded import EmbeddedServer
from tests.virtual_time import run_virtually


class Process:
    """A server that runs until it is stopped; ``stop_error`` is raised by stopping it."""

    pid = 17

    def __init__(self, stop_error: Exception | None = None) -> None:
        self.stop_error = stop_error
        self.stopped = False

    def exit_code(self) -> int | None:
        return 0 if self.stopped else None

    async def stop(self, fast_s: float, immediate_s: float) -> None:
        self.stopped = True
        if self.stop_error is not None:
            raise self.stop_error


class FullDisk:
    """What stands for the site: its log can't be cut."""

    def __init__(self) -> None:
        self.tries = 0

    @property
    def log(self) -> "FullDisk":
        return self

    def trim(self) -> None:
        self.tries += 1
        raise OSError("no space left on device")


def a_server(tmp_path: Path, process: Process) -> Any:
    server: Any = EmbeddedServer(tmp_path / "data")
    server._postmaster = process
    return server


def test_a_log_that_cannot_be_cut_ends_no_supervision(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site, server = FullDisk(), a_server(tmp_path, Process())

    async def scenario() -> None:
        server._supervisor = asyncio.create_task(server._supervise(site))
        await asyncio.sleep(200)
        assert not server._supervisor.done()
        await server.stop()

    with caplog.at_level(logging.WARNING):
        run_virtually(scenario())
    assert site.tries == 3
    assert {record.levelname for record in caplog.records} == {"WARNING"}


@pytest.mark.parametrize("error", [RuntimeError("odd"), OSError("no process")])
def test_a_restart_that_fails_in_any_way_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    broken = Process(stop_error=error)
    broken.stopped = True
    server, tries = a_server(tmp_path, broken), 0

    async def bring_up(_: object) -> None:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise error
        server._postmaster = Process()

    async def scenario() -> None:
        monkeypatch.setattr(server, "_bring_up", bring_up)
        server._supervisor = asyncio.create_task(server._supervise(FullDisk()))
        await asyncio.sleep(50)
        assert server.pid == Process.pid
        await server.stop()

    run_virtually(scenario())
    assert tries == 4


def test_stopping_goes_through_every_step_whatever_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process(stop_error=OSError("no such process"))
    server = a_server(tmp_path, process)
    (tmp_path / "data").mkdir()
    sockets = tmp_path / "sockets"
    sockets.mkdir()

    async def dies() -> None:
        raise RuntimeError("supervision died")

    async def scenario() -> None:
        await server._lock.acquire()
        server._socket_directory = sockets
        server._supervisor = asyncio.create_task(dies())
        await asyncio.sleep(0)
        with pytest.raises(OSError, match="no such process"):
            await server.stop()
        assert process.stopped
        assert not sockets.exists()
        other = EmbeddedServer(tmp_path / "data")
        await other._lock.acquire()
        other._lock.release()

    run_virtually(scenario())
