"""A buyer made of bare sockets, so that a test decides about every byte and when it is sent."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from buyers.transport import Origin


@dataclass
class Request:
    """One request as it came in; ``headers`` by lower-case name."""

    line: str
    headers: dict[str, str]
    raw_head: bytes
    body: bytes


class Connection:
    """One connection to the buyer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def request(self) -> Request:
        """The next request. Raises IncompleteReadError when the other side has closed."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        line, *lines = head.decode().removesuffix("\r\n\r\n").split("\r\n")
        pairs = [entry.split(": ", 1) for entry in lines]
        headers = {name.lower(): value for name, value in pairs}
        assert len(headers) == len(pairs), "a header came twice"
        body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return Request(line, headers, head, body)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, body: bytes = b"{}", status: str = "200 OK", head: str = "") -> None:
        """A whole answer with a Content-Length."""
        lines = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{head}\r\n"
        await self.send(lines.encode() + body)

    async def until_closed(self) -> bytes:
        """Wait for the other side to close; what it sent before."""
        try:
            return await self.reader.read()
        except ConnectionError:
            return b""

    def reset(self) -> None:
        """Break the connection at once (RST)."""
        connection: socket.socket = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@dataclass
class RawBuyer:
    """What the buyer saw. ``gone`` counts connections that have ended."""

    origin: Origin
    connections: int = 0
    gone: int = 0
    requests: list[Request] = field(default_factory=list)


@asynccontextmanager
async def raw_buyer(
    behave: Callable[[Connection, RawBuyer], Awaitable[None]], tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawBuyer]:
    """A buyer on loopback that treats each connection by ``behave``, then closes it."""
    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        buyer.connections += 1
        try:
            await behave(Connection(reader, writer), buyer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            buyer.gone += 1
            running.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls, backlog=1000)
    port = server.sockets[0].getsockname()[1]
    buyer = RawBuyer(Origin("https" if tls else "http", "127.0.0.1", port))
    try:
        yield buyer
    finally:
        server.close()
        for task in list(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await server.wait_closed()
