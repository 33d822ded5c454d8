"""One bash for all blocks of a page: variables, files and programs in the background stay."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

ENDS_WITHIN_S = 20.0

# An answer that is an error fails its command, and any command that fails is noted with its text.
_PRELUDE = """
curl() { command curl --fail-with-body --max-time 60 "$@"; }
exec 9>"$NOTES"
trap 'echo "failed $? $BASH_COMMAND" >&9' ERR
set -E -o pipefail
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a block did. ``failed`` are the commands that ended with anything but 0."""

    output: str
    errors: str
    failed: tuple[str, ...]
    code: int


class Shell:
    """A bash in ``folder``; nothing of what it started is left when it is closed."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._notes = folder / ".notes"
        self._notes.touch()
        self._read = 0
        self._number = 0
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-s"],
            cwd=folder,
            env={**environment, "NOTES": str(self._notes)},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )
        self._tell(_PRELUDE)

    def run(self, commands: str, within_s: float) -> Ran:
        """Run a block. Raises TimeoutError when it takes longer."""
        self._number += 1
        script, out, err = (self._folder / f".{kind}-{self._number}" for kind in ("sh", "o", "e"))
        script.write_text(f"{commands}\n", encoding="utf-8")
        self._tell(f'. "{script}" >"{out}" 2>"{err}" </dev/null; echo "done $?" >&9\n')
        notes = self._wait_for_end(within_s, err)
        failed = tuple(note.removeprefix("failed ") for note in notes[:-1])
        code = int(notes[-1].removeprefix("done "))
        return Ran(_text(out), _text(err), failed, code)

    def _wait_for_end(self, within_s: float, err: Path) -> list[str]:
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            told = self._notes.read_text(encoding="utf-8", errors="replace")[self._read :]
            notes = [note for note in told.splitlines() if note.startswith(("failed ", "done "))]
            if told.endswith("\n") and notes and notes[-1].startswith("done "):
                self._read += len(told)
                return notes
            if self._process.poll() is not None:
                raise AssertionError(f"the commands ended the shell\n{_text(err)}")
            time.sleep(0.02)
        message = f"the commands take longer than {within_s} s\n{_text(err)}"
        raise TimeoutError(message)

    def _tell(self, text: str) -> None:
        stdin: IO[str] | None = self._process.stdin
        assert stdin is not None, "it was asked for"
        stdin.write(text)
        stdin.flush()

    def close(self) -> None:
        """End everything that the page has started and left running."""
        mine = [*_children(self._process.pid), *_session(self._process.pid)]
        for number in (signal.SIGTERM, signal.SIGKILL):
            _signal(mine, number)
            _, mine = psutil.wait_procs(mine, timeout=ENDS_WITHIN_S)
            if not mine:
                break
        self._process.kill()
        self._process.wait(ENDS_WITHIN_S)
        if self._process.stdin is not None:
            self._process.stdin.close()


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children()
    except psutil.NoSuchProcess:
        return []


def _session(pid: int) -> list[psutil.Process]:
    """What the shell's session holds besides, though its parent is gone."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == pid and process.pid != pid:
                found.append(process)
        except (ProcessLookupError, PermissionError):
            continue
    return found


def _signal(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
