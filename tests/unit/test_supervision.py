"""What a supervisor is told, and when it is told nothing."""

import asyncio
import socket
from pathlib import Path

import pytest

from auction.supervision import READY, Supervisor


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, Supervisor()),
        ({"NOTIFY_SOCKET": ""}, Supervisor()),
        ({"NOTIFY_SOCKET": "/run/n"}, Supervisor("/run/n")),
        ({"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "30000000"}, Supervisor("@n", 30.0)),
        ({"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "9", "WATCHDOG_PID": "8"}, Supervisor("@n")),
        (
            {"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "500000", "WATCHDOG_PID": "7"},
            Supervisor("@n", 0.5),
        ),
        ({"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "soon"}, Supervisor("@n")),
    ],
)
def test_the_environment_names_the_supervisor(environ: dict[str, str], found: Supervisor) -> None:
    assert Supervisor.of(environ, pid=7) == found


@pytest.mark.parametrize("abstract", [False, True])
def test_a_message_is_one_datagram(tmp_path: Path, abstract: bool) -> None:
    name = f"\0{tmp_path.name}-pingpost" if abstract else str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(name)
        ear.settimeout(5)
        Supervisor(name.replace("\0", "@")).tell(READY)
        assert ear.recv(64) == b"READY=1"


def hear_all(ear: socket.socket) -> None:
    for _ in range(1_000):
        ear.recv(64)


async def test_a_loop_that_turns_says_so_and_one_that_stands_still_does_not(
    tmp_path: Path,
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "n"))
        ear.settimeout(5)
        telling = asyncio.create_task(Supervisor(str(tmp_path / "n"), 0.03).keep_telling())
        for _ in range(3):
            assert await asyncio.to_thread(ear.recv, 64) == b"WATCHDOG=1"
        ear.settimeout(0.3)
        # This blocks the loop: what came before is read, and nothing comes any more.
        with pytest.raises(TimeoutError):
            hear_all(ear)
        ear.settimeout(5)
        assert await asyncio.to_thread(ear.recv, 64) == b"WATCHDOG=1"
        telling.cancel()
        await asyncio.wait([telling])


async def test_nobody_is_told_where_nobody_watches(tmp_path: Path) -> None:
    async with asyncio.timeout(5):
        await Supervisor().keep_telling()
        await Supervisor(str(tmp_path / "n")).keep_telling()
    Supervisor(str(tmp_path / "nobody")).tell(READY)
