"""A pool without any network: the test says when connections open and what comes in on them."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any

from buyers.native_connection import Exchange, NativeConnection
from buyers.native_pool import OriginPool, PoolLimits
from buyers.transport import Answer, HeaderBlock, Origin, PreparedRequest

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
ORIGIN = Origin("http", "buyer.example", 80)


class Wire(asyncio.Transport):
    """The far end of one connection."""

    def __init__(self, protocol: NativeConnection) -> None:
        super().__init__()
        self.protocol = protocol
        self.sent: list[bytes] = []
        self.aborted = False
        self._near, self._far = socket.socketpair()
        protocol.connection_made(self)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._near if name == "socket" else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent.append(bytes(data))

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True
        self._near.close()
        self._far.close()

    def answer(self, data: bytes = OK) -> None:
        self.protocol.data_received(data)

    def arrive(self, data: bytes) -> None:
        """Bytes that the event loop has not seen yet."""
        self._far.send(data)

    def reset(self) -> None:
        self.protocol.connection_lost(ConnectionResetError())


class Phone:
    """A dialler; ``hold`` keeps every dial waiting, ``error`` makes it fail."""

    def __init__(self) -> None:
        self.hold: asyncio.Event | None = None
        self.error: Exception | None = None
        self.dials = 0
        self.most = 0
        self.running = 0
        self.wires: list[Wire] = []

    async def dial(self, make: Callable[[], NativeConnection]) -> None:
        self.dials += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(0)
            if self.hold is not None:
                await self.hold.wait()
            if self.error is not None:
                raise self.error
            self.wires.append(Wire(make()))
        finally:
            self.running -= 1

    def remember(self, secured: ssl.SSLObject) -> None:
        raise AssertionError("there is no TLS here")


class Bench:
    """A pool with its dialler; closed by ``close``."""

    def __init__(self, **limits: Any) -> None:
        self.phone = Phone()
        settings = PoolLimits(**{"spare": 0, **limits})
        self.pool = OriginPool(self.phone, settings, asyncio.get_running_loop())

    @property
    def wires(self) -> list[Wire]:
        return self.phone.wires

    def send(self, ping_id: str = "p", *, post: bool = False) -> Exchange[Answer]:
        prepared = PreparedRequest(
            ORIGIN, "POST", "/", HeaderBlock(), repeatable=not post, ping_id=ping_id
        )
        data = f"{'post' if post else 'ping'} {ping_id}".encode()
        exchange: Exchange[Answer] = Exchange(prepared, data, lambda a: a, None, self.pool)
        self.pool.submit(exchange)
        return exchange

    async def sent(self, ping_id: str = "p", *, post: bool = False) -> Exchange[Answer]:
        """As ``send``, when it has been written or has failed."""
        exchange = self.send(ping_id, post=post)
        await settle()
        return exchange

    async def idle(self, *ping_ids: str) -> None:
        """As many idle connections as ping ids, each having answered that ping, in order."""
        exchanges = [await self.sent(ping_id) for ping_id in ping_ids]
        for exchange in exchanges:
            wire_of(exchange).answer()

    def close(self) -> None:
        self.pool.close()


def wire_of(exchange: Exchange[Any]) -> Wire:
    """Where it was written."""
    connection = exchange.connection
    assert connection is not None
    found = connection._transport
    assert isinstance(found, Wire)
    return found


async def settle() -> None:
    """Let everything happen that can happen now."""
    for _ in range(10):
        await asyncio.sleep(0)
