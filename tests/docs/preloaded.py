"""Starts ``pingpost`` for what pages take for granted, without importing the service each time.

As a program it has imported everything, and forks: a line of JSON asks for one more process, or for
the end of one; a line answers with its id, or its exit code.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PRELOADED = ("auction.serving", "buyers.simulator.server")


class Starter:
    """The tests' side of it."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> int:
        """Start ``pingpost`` with these arguments in the folder; what it prints is in its log."""
        return self._ask(
            {"arguments": arguments, "environment": dict(environment), "folder": str(folder)}
        )

    def end(self, pid: int) -> int:
        """SIGTERM, and the exit code."""
        return self._ask({"end": pid})

    def _ask(self, request: Mapping[str, object]) -> int:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None, "they were asked for"  # noqa: PT018 - for mypy
        stdin.write(json.dumps(request) + "\n")
        stdin.flush()
        return int(stdout.readline())


@contextmanager
def a_starter() -> Iterator[Starter]:
    """One that runs; with it ends whatever it has started."""
    command = (sys.executable, "-m", "tests.docs.preloaded")
    root = Path(__file__).parents[2]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=root, stdin=pipe, stdout=pipe, text=True) as process:
        yield Starter(process)


def _serve() -> None:
    for name in PRELOADED:
        __import__(name)
    running = set[int]()
    for line in sys.stdin:
        request = json.loads(line)
        if "end" in request:
            running.remove(request["end"])
            answer = _end(request["end"])
        else:
            answer = _start(request)
            running.add(answer)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()
    for pid in running:
        _end(pid)


def _start(request: Mapping[str, Any]) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = _run(request)
        finally:
            os._exit(code)
    return pid


def _run(request: Mapping[str, Any]) -> int:
    os.setsid()
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    log = os.open("granted.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number, opened in ((0, os.open(os.devnull, os.O_RDONLY)), (1, log), (2, log)):
        os.dup2(opened, number)
    from auction.cli import main

    try:
        main(request["arguments"], prog_name="pingpost")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    return 0


def _end(pid: int) -> int:
    os.kill(pid, signal.SIGTERM)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    _serve()
