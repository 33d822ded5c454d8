"""``pingpost demo`` as an operator starts it: the real service, PostgreSQL and simulated buyers."""

import os
import subprocess
import sys
from pathlib import Path

import psutil

FINISHES_WITHIN_S = 90
NOTE = "Starting PostgreSQL, the service and the buyers"


def test_the_demo_agrees_with_itself_and_leaves_nothing_behind(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "TMPDIR": str(tmp_path),
        "PINGPOST_DSN": "postgresql://nobody@127.0.0.1:1/none",
        "PINGPOST_PORT": "1",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "auction", "demo", "--calls", "60"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    ) as process:
        output, notes = process.communicate(timeout=FINISHES_WITHIN_S)

    assert process.returncode == 0, output + notes
    assert "Service and buyers agree on every figure." in output
    for words in ("Calls by outcome", "Offers", "One decision in full", "acme-west", "won"):
        assert words in output
    assert notes.strip() == NOTE
    assert list(tmp_path.iterdir()) == []
    left = [each for each in psutil.process_iter() if _belongs_to(each, process.pid, tmp_path)]
    assert left == []


def _belongs_to(process: psutil.Process, session: int, folder: Path) -> bool:
    """Whether a process was started by the demo, or works in its folder."""
    try:
        return os.getsid(process.pid) == session or str(folder) in " ".join(process.cmdline())
    except (ProcessLookupError, psutil.Error):
        return False
