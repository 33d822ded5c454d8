"""One worker as its parent sees it."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress

from auction.workers.assignment import LEAVE, READY, Assignment
from storage.polling import until

EXIT_WITHIN_S = 5.0
"""How long a process may take to be gone once it has let go of its parent."""


class WorkerProcess:
    """A worker from its start to its end; started in the thread of a running event loop."""

    def __init__(self, assignment: Assignment) -> None:
        control, theirs = socket.socketpair()
        self.number = assignment.number
        self.place = assignment.place
        self.used_cpu_s: float | None = None
        self._control = control
        self._ready = asyncio.Event()
        with theirs:
            self._process = _start(theirs.fileno(), assignment)
        # One that died at once is found dead by its life.
        with suppress(OSError):
            control.sendall(assignment.encode())
        control.settimeout(0)
        self._life = asyncio.create_task(self._live())

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_ready(self) -> bool:
        """Whether it takes calls."""
        return self._ready.is_set() and not self._life.done()

    async def ready(self, within_s: float) -> bool:
        """Whether it takes calls within so many seconds; False also when it has ended."""
        getting_ready = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait(
                {getting_ready, self._life},
                timeout=within_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            getting_ready.cancel()
        return self.is_ready

    async def ended(self) -> int:
        """Wait for its end; the exit code, negative when a signal ended it."""
        return await asyncio.shield(self._life)

    def leave(self) -> None:
        """Tell it to take no new connection and to end once nobody needs it."""
        with suppress(OSError):
            self._control.send(LEAVE)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; one that has ended gets none."""
        if self._process.returncode is None:
            self._process.send_signal(number)

    async def _live(self) -> int:
        with self._control:
            await self._listen()
        # It may be stuck without a way to be told anything.
        if not await until(self._is_gone, EXIT_WITHIN_S):
            self.send(signal.SIGKILL)
            await until(self._is_gone, None)
        return self._process.returncode or 0

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        said = b""
        with suppress(OSError):
            while part := await loop.sock_recv(self._control, len(READY)):
                said += part
                if said == READY:
                    self._ready.set()

    def _is_gone(self) -> bool:
        # Not by Popen's own wait, which does not tell what the process has used.
        pid, status, used = os.wait4(self.pid, os.WNOHANG)
        if not pid:
            return False
        self.used_cpu_s = used.ru_utime + used.ru_stime
        self._process.returncode = os.waitstatus_to_exitcode(status)
        return True


def _start(control: int, assignment: Assignment) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 - our own program with a number
        [sys.executable, "-m", "auction", "worker", str(control)],
        pass_fds=(control, assignment.page, assignment.board, *assignment.listeners),
        stdin=subprocess.DEVNULL,
        # A Ctrl-C at the terminal is for the parent, which tells the workers.
        process_group=0,
    )
