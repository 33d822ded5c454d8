"""``pingpost demo`` as an operator starts it: the real service, PostgreSQL and simulated buyers."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

FINISHES_WITHIN_S = 90
NOTE = "Starting PostgreSQL, the service and the buyers"


@contextmanager
def a_demo(folder: Path, calls: int) -> Iterator["subprocess.Popen[str]"]:
    """The demo as a process of its own, whose settings point at a deployment that is not there."""
    environment = {
        **os.environ,
        "TMPDIR": str(folder),
        "PINGPOST_DSN": "postgresql://nobody@127.0.0.1:1/none",
        "PINGPOST_PORT": "1",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "auction", "demo", "--calls", str(calls)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def assert_nothing_is_left(folder: Path, session: int) -> None:
    """No file, and no process that the demo started or that works in its folder."""
    assert list(folder.iterdir()) == []
    assert [each for each in psutil.process_iter() if _belongs_to(each, session, folder)] == []


def _belongs_to(process: psutil.Process, session: int, folder: Path) -> bool:
    try:
        return os.getsid(process.pid) == session or str(folder) in " ".join(process.cmdline())
    except (ProcessLookupError, psutil.Error):
        return False


def test_the_demo_agrees_with_itself_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with a_demo(tmp_path, calls=60) as process:
        output, notes = process.communicate(timeout=FINISHES_WITHIN_S)

    assert process.returncode == 0, output + notes
    assert "Service and buyers agree on every figure." in output
    for words in ("Calls by outcome", "Offers", "One decision in full", "acme-west", "won"):
        assert words in output
    assert notes.strip() == NOTE
    assert_nothing_is_left(tmp_path, process.pid)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_demo_that_is_ended_early_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    with a_demo(tmp_path, calls=300) as process:
        _until_postgresql_runs(tmp_path)
        process.send_signal(number)
        output, notes = process.communicate(timeout=FINISHES_WITHIN_S)

    assert process.returncode == code, output + notes
    assert "Traceback" not in notes
    assert_nothing_is_left(tmp_path, process.pid)


def _until_postgresql_runs(folder: Path) -> None:
    deadline = time.monotonic() + FINISHES_WITHIN_S
    while not list(folder.glob("pingpost-demo-*/data/postgres/postmaster.pid")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
