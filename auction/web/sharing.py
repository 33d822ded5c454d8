"""Taking connections from a socket that other processes take them from, too, each its part."""

import asyncio
import logging
from socket import socket
from typing import Final, Protocol

from aiohttp import web

from auction.web.runner import ProblemRunner

BACKLOG: Final = 1024
"""Connections that may wait to be taken."""

GIVE_WAY_S: Final = 0.002
"""How long a caller is left to a process with fewer connections, which may be too busy for it."""

OUT_OF_FILES_S: Final = 0.5

logger = logging.getLogger(__name__)


class Share(Protocol):
    """What one of the processes knows of the others."""

    def enter(self) -> None:
        """Take connections from now on."""

    def opened(self) -> None:
        """One connection more is open here."""

    def closed(self) -> None:
        """One connection less is open here."""

    def is_ahead(self) -> bool:
        """Whether another that takes connections has fewer open."""

    def leave(self) -> None:
        """Take none any more; the others no longer give way."""


class SharedSite(web.BaseSite):
    """Serves on a bound socket. Whoever wakes first would otherwise take all that wait.

    A switch keeps its connections for hours, so that one process would do all the work.
    """

    def __init__(self, runner: ProblemRunner, listener: socket, share: Share) -> None:
        super().__init__(runner, backlog=BACKLOG)
        self._problem_runner = runner
        self._listener = listener
        self._share = share
        self._acceptor: _Acceptor | None = None

    @property
    def name(self) -> str:
        """The address."""
        host, port = self._listener.getsockname()[:2]
        return f"http://{host}:{port}"

    async def start(self) -> None:
        """Take connections from now on."""
        await super().start()
        self._listener.listen(self._backlog)
        self._problem_runner.tell_closed(self._share.closed)
        self._share.enter()
        self._acceptor = _Acceptor(self._problem_runner, self._listener, self._share)

    async def stop(self) -> None:
        """Take no more; those that were taken stay."""
        if self._acceptor is not None:
            self._acceptor.close()
        await super().stop()


class _Acceptor:
    def __init__(self, runner: ProblemRunner, listener: socket, share: Share) -> None:
        self._runner = runner
        self._listener = listener
        self._share = share
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._arriving: set[asyncio.Task[None]] = set()
        self._watch()

    def close(self) -> None:
        self._share.leave()
        self._loop.remove_reader(self._listener.fileno())
        if self._pause is not None:
            self._pause.cancel()
        self._listener.close()

    def _watch(self) -> None:
        self._loop.add_reader(self._listener.fileno(), self._on_caller)

    def _on_caller(self) -> None:
        if self._share.is_ahead():
            self._rest(GIVE_WAY_S)
        else:
            self._take()

    def _rest(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener.fileno())
        self._pause = self._loop.call_later(seconds, self._go_on)

    def _go_on(self) -> None:
        self._watch()
        self._take()

    def _take(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            logger.error("No connection can be taken: %s", error, extra={"action": "accept"})
            self._rest(OUT_OF_FILES_S)
            return
        connection.settimeout(0)
        self._share.opened()
        self._runner.arriving += 1
        task = self._loop.create_task(self._serve(connection))
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)

    async def _serve(self, connection: socket) -> None:
        server = self._runner.server
        try:
            if server is None:
                raise ConnectionAbortedError("the service is going down")
            await self._loop.connect_accepted_socket(server, connection)
        except OSError:
            self._share.closed()
            connection.close()
        finally:
            self._runner.arriving -= 1
