"""What systemd is told, on a real socket."""

import asyncio
import socket
from pathlib import Path

import pytest

from auction.service_manager import State, keep_telling, tell_service_manager, watched_s


@pytest.mark.parametrize("abstract", [False, True])
def test_whoever_has_started_us_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool
) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(5)
        manager.bind(f"\0{path}" if abstract else path)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{path}" if abstract else path)
        tell_service_manager(State.READY)
        tell_service_manager(State.STOPPING)
        assert [manager.recv(100), manager.recv(100)] == [b"READY=1", b"STOPPING=1"]


def test_one_that_is_gone_or_was_never_there_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    tell_service_manager(State.READY)
    assert not caplog.records
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    tell_service_manager(State.READY)
    assert [vars(record)["action"] for record in caplog.records] == ["service_manager"]


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "7"}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watch_is_for_the_process_that_is_named(
    environ: dict[str, str], seconds: float | None
) -> None:
    assert watched_s(environ, pid=7) == seconds


def hear_all(manager: socket.socket) -> None:
    for _ in range(1_000):
        manager.recv(64)


async def test_a_loop_that_turns_says_so_and_one_that_stands_still_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        telling = asyncio.create_task(keep_telling(0.03))
        for _ in range(3):
            assert await asyncio.to_thread(manager.recv, 64) == b"WATCHDOG=1"
        manager.settimeout(0.3)
        # This blocks the loop: what came before is read, and nothing comes any more.
        with pytest.raises(TimeoutError):
            hear_all(manager)
        manager.settimeout(5)
        assert await asyncio.to_thread(manager.recv, 64) == b"WATCHDOG=1"
        telling.cancel()
        await asyncio.wait([telling])


async def test_nothing_is_said_where_nobody_watches() -> None:
    async with asyncio.timeout(5):
        await keep_telling(None)
