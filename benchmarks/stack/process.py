"""Processes that a run starts, watches and ends, each by its own id."""

import asyncio
import ctypes
import json
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from benchmarks.errors import BenchmarkError

STOP_WITHIN_S: Final = 15.0
TAIL_LINES: Final = 15
LONGEST_LINE: Final = 2**26
_PR_SET_PDEATHSIG: Final = 1


class ManagedProcess:
    """One child in a session of its own: a Ctrl-C on the terminal reaches the run alone.

    Its standard error goes to ``log_file``; its standard output too, unless it is spoken to in
    lines of JSON. On Linux it gets SIGTERM when the run is killed.
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process, log_file: Path) -> None:
        """See ``start``."""
        self.name = name
        self.log_file = log_file
        self._process = process

    @classmethod
    async def start(
        cls,
        name: str,
        command: Sequence[str],
        log_file: Path,
        *,
        environment: Mapping[str, str] | None = None,
        spoken_to: bool = False,
    ) -> "ManagedProcess":
        """Start ``command``. Raises BenchmarkError when there is no such program."""
        pipe, none = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        with log_file.open("ab") as log:
            try:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    env=environment,
                    stdin=pipe if spoken_to else none,
                    stdout=pipe if spoken_to else log,
                    stderr=log,
                    start_new_session=True,
                    preexec_fn=_die_with_parent(),
                    limit=LONGEST_LINE,
                )
            except OSError as error:
                message = f"{name} can't be started: {error}"
                raise BenchmarkError(message) from error
        return cls(name, process, log_file)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def check(self) -> None:
        """Raises BenchmarkError with the log's last lines when the process has ended."""
        code = self._process.returncode
        if code is not None:
            message = f"{self.name} ended with {code}; the end of its log:\n{self.tail()}"
            raise BenchmarkError(message)

    async def say(self, message: Mapping[str, object]) -> None:
        """Send one line of JSON. Raises BenchmarkError when the process has ended."""
        assert self._process.stdin is not None, "the process is spoken to"
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            await self._process.stdin.drain()
        except ConnectionError:
            await self._ended()

    async def hear(self, within_s: float) -> dict[str, Any]:
        """The next line of JSON. Raises BenchmarkError when none comes in time."""
        assert self._process.stdout is not None, "the process is spoken to"
        try:
            async with asyncio.timeout(within_s):
                line = await self._process.stdout.readline()
        except TimeoutError:
            message = f"{self.name} said nothing for {within_s:.0f} s; its log:\n{self.tail()}"
            raise BenchmarkError(message) from None
        if not line:
            await self._ended()
        heard: dict[str, Any] = json.loads(line)
        return heard

    async def stop(self, within_s: float = STOP_WITHIN_S) -> None:
        """SIGTERM, and SIGKILL when that does not end it in time."""
        if self._process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(within_s):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def tail(self, lines: int = TAIL_LINES) -> str:
        """The end of the log."""
        try:
            text = self.log_file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return "(no log)"
        return "\n".join(text.splitlines()[-lines:]) or "(the log is empty)"

    async def _ended(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_WITHIN_S):
                await self._process.wait()
        self.check()
        message = f"{self.name} closed its output; the end of its log:\n{self.tail()}"
        raise BenchmarkError(message)


def _die_with_parent() -> Callable[[], None] | None:
    """What a child does first, so that a killed run leaves nothing behind; Linux only."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return ask
