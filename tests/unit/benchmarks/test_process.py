"""Processes of a run: what they say is heard, what they leave in their log is told, all end."""

import sys
from pathlib import Path

import psutil
import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.stack.process import ManagedProcess
from tests.eventually import eventually


async def start(folder: Path, code: str, *, spoken_to: bool = False) -> ManagedProcess:
    command = (sys.executable, "-c", code)
    return await ManagedProcess.start("it", command, folder / "it.log", spoken_to=spoken_to)


async def test_a_process_is_spoken_to_in_lines_of_json(tmp_path: Path) -> None:
    process = await start(tmp_path, "print(input(), flush=True)", spoken_to=True)
    await process.say({"rate": 300})
    assert await process.hear(10) == {"rate": 300}
    await process.stop()


async def test_the_log_of_a_process_that_died_is_told(tmp_path: Path) -> None:
    process = await start(tmp_path, "raise SystemExit('no such thing')", spoken_to=True)
    with pytest.raises(BenchmarkError, match=r"(?s)it ended with 1.*no such thing"):
        await process.hear(10)
    with pytest.raises(BenchmarkError, match="no such thing"):
        process.check()


async def test_a_process_that_says_nothing_is_not_waited_for_without_end(tmp_path: Path) -> None:
    process = await start(tmp_path, "input()", spoken_to=True)
    with pytest.raises(BenchmarkError, match="said nothing"):
        await process.hear(0.01)
    await process.stop()


async def test_a_process_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    deaf = "import signal; signal.signal(15, signal.SIG_IGN); print('{}', flush=True); input()"
    process = await start(tmp_path, deaf, spoken_to=True)
    await process.hear(10)
    await process.stop(within_s=0.05)
    assert not psutil.pid_exists(process.pid)


async def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="it can't be started"):
        await ManagedProcess.start("it", ("/no/such/program",), tmp_path / "log")


async def test_only_the_end_of_a_long_log_is_told(tmp_path: Path) -> None:
    process = await start(tmp_path, "print(*range(100), sep='\\n')")
    await eventually(lambda: process.tail(1) == "99", within_s=10)
    await process.stop()
    assert process.tail(3) == "97\n98\n99"
