"""Keep-alive connections that cost the machine little: no task and no timer for a request."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import cycle
from typing import Final, Protocol, cast

import httptools

BROKEN: Final = 0
"""The status of a request whose connection broke before its whole answer."""

Answered = Callable[[int, bytes], None]
"""Takes an answer's status and body."""


class Sender(Protocol):
    """Whatever brings requests to a service."""

    def send(self, request: bytes, answered: Answered) -> None:
        """Send a request; ``answered`` is called once, or never when all is closed before."""


class Connections:
    """Connections to ports of 127.0.0.1 in turn; at most ``limit``, beyond that requests wait."""

    def __init__(self, port: int, limit: int, others: Sequence[int] = ()) -> None:
        """Opens none before it is needed."""
        self._ports = cycle((port, *others))
        self._limit = limit
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._waiting: deque[tuple[bytes, Answered]] = deque()

    def send(self, request: bytes, answered: Answered) -> None:
        """Send a request, as soon as a connection is free."""
        if self._idle:
            self._idle.pop().send(request, answered)
            return
        self._waiting.append((request, answered))
        self._open_more()

    def close(self) -> None:
        """Close all; what has no answer yet gets none."""
        self._waiting.clear()
        for task in self._opening:
            task.cancel()
        for connection in tuple(self._open):
            connection.abort()

    def opened(self, connection: "_Connection") -> None:
        """Take note of a connection that stands."""
        self._open.add(connection)

    def freed(self, connection: "_Connection") -> None:
        """Use a connection for the next request, or keep it."""
        if self._waiting:
            connection.send(*self._waiting.popleft())
        else:
            self._idle.append(connection)

    def lost(self, connection: "_Connection") -> None:
        """Forget a connection."""
        self._open.discard(connection)
        with suppress(ValueError):
            self._idle.remove(connection)
        self._open_more()

    def _open_more(self) -> None:
        wanted = len(self._waiting) > len(self._opening)
        if wanted and len(self._open) + len(self._opening) < self._limit:
            self._start_opening()

    def _start_opening(self) -> None:
        task = asyncio.get_running_loop().create_task(self._connect())
        self._opening.add(task)
        task.add_done_callback(self._opening_ended)

    def _opening_ended(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        self._open_more()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: _Connection(self), "127.0.0.1", next(self._ports))
        except OSError:
            if self._waiting:
                self._waiting.popleft()[1](BROKEN, b"")


class _Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self, owner: Connections) -> None:
        self._owner = owner
        self._answered: Answered | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Stand ready."""
        self._transport = cast("asyncio.Transport", transport)
        self._owner.opened(self)
        self._owner.freed(self)

    def send(self, request: bytes, answered: Answered) -> None:
        """Send a request; there must be none under way."""
        self._answered = answered
        self._body = b""
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, which calls the ``on_`` methods."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.abort()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """The answer is whole."""
        answered, self._answered = self._answered, None
        if answered is None:
            return
        # All of it first: a request that waits goes out at once and takes their place.
        status, body = self._parser.get_status_code(), self._body
        if self._parser.should_keep_alive():
            self._owner.freed(self)
        else:
            self._transport.close()
        answered(status, body)

    def connection_lost(self, _: Exception | None) -> None:
        """Tell whoever waits for an answer."""
        self._owner.lost(self)
        answered, self._answered = self._answered, None
        if answered is not None:
            answered(BROKEN, b"")

    def abort(self) -> None:
        """Drop the connection at once."""
        self._transport.abort()
