"""One connection to a simulated buyer: requests in, replies out, whole or as badly as scripted."""

import asyncio
import socket
import struct
from collections import deque
from typing import Protocol, cast

import httptools

from buyers.simulator import replies
from buyers.simulator.replies import Delivery, Reply
from buyers.simulator.request import Request

MAX_PIPELINED = 64
"""How many requests may wait for the answer to the one before them."""

_FLUSH_S = 0.01
"""A reset throws away what is unsent, and a transport may send after this turn of the loop only."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_BAD_REQUEST = replies.json_response(400, {"error": "not a request"})
_TOO_LARGE = replies.json_response(413, {"error": "the request is too large"})


class Listener(Protocol):
    """Who answers the requests of a connection."""

    max_request_bytes: int

    def connected(self, connection: "BuyerConnection") -> bool:
        """Take note of a new connection; False when there are too many."""

    def disconnected(self, connection: "BuyerConnection") -> None:
        """Take note that a connection has gone."""

    def answer(self, request: Request) -> Reply:
        """The reply to a request."""

    def bad_request(self) -> None:
        """Take note of bytes that are no acceptable request."""


class BuyerConnection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive; requests are answered one after the other, in order."""

    def __init__(self, listener: Listener) -> None:
        """Serve one client for ``listener``."""
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._reply: Reply | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._unsent = memoryview(b"")
        self._keep_alive = True
        self._writable = True
        self._closing = False
        self._size = 0
        self._new_request()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start, or turn the client away when there are too many."""
        self._transport = cast("asyncio.Transport", transport)
        if not self._listener.connected(self):
            self.abort()

    def connection_lost(self, _: Exception | None) -> None:
        """Stop whatever was going on."""
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        if self._reply is not None and self._reply.counts is not None:
            self._reply.counts.abandon(sells=self._reply.sells)
        self._waiting.clear()
        self._listener.disconnected(self)

    def abort(self) -> None:
        """Drop the connection at once."""
        self._closing = True
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Feed the parser, which calls the ``on_`` methods."""
        self._size += len(data)
        if self._closing:
            return
        if self._size > self._listener.max_request_bytes:
            self._refuse(_TOO_LARGE)
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse(_BAD_REQUEST)
            return
        if len(self._waiting) > MAX_PIPELINED:
            self._refuse(_BAD_REQUEST)
        elif self._reply is None:
            self._next()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._new_request()

    def on_url(self, url: bytes) -> None:
        """A piece of the request target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; of two with one name the last counts."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """The request is whole."""
        path, _, query = self._target.decode("ascii").partition("?")
        method = self._parser.get_method().decode("ascii")
        request = Request(method, path, query, self._headers, self._body)
        self._size = 0
        self._waiting.append((request, self._parser.should_keep_alive()))

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self._writable = False

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._writable = True
        if self._reply is not None and self._reply.delivery is Delivery.PACED:
            self._pace()

    def _new_request(self) -> None:
        self._target = b""
        self._headers: dict[str, str] = {}
        self._body = b""

    def _next(self) -> None:
        if not self._waiting or self._closing:
            return
        request, self._keep_alive = self._waiting.popleft()
        reply = self._reply = self._listener.answer(request)
        if reply.delay_s > 0:
            self._timer = self._loop.call_later(reply.delay_s, self._deliver, reply)
        else:
            self._deliver(reply)

    def _deliver(self, reply: Reply) -> None:
        match reply.delivery:
            case Delivery.WHOLE:
                self._transport.write(reply.payload)
                self._delivered()
            case Delivery.NEVER:
                pass
            case Delivery.THEN_CLOSE:
                self._transport.write(reply.payload)
                self._delivered(keep_alive=False)
            case Delivery.THEN_RESET:
                self._transport.write(reply.payload)
                pause_s = _FLUSH_S if reply.payload else 0
                self._timer = self._loop.call_later(pause_s, self._reset)
            case Delivery.DRIP:
                self._transport.write(reply.payload[: reply.at_once])
                self._unsent = memoryview(reply.payload)[reply.at_once :]
                self._drip(reply.drip_s)
            case Delivery.PACED:
                self._unsent = memoryview(reply.payload)
                self._pace()

    def _delivered(self, *, keep_alive: bool = True) -> None:
        self._reply = None
        if self._keep_alive and keep_alive:
            self._next()
        else:
            self._closing = True
            self._transport.close()

    def _reset(self) -> None:
        self._reply = None
        raw = cast("socket.socket", self._transport.get_extra_info("socket"))
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.abort()

    def _drip(self, pause_s: float) -> None:
        if not self._unsent:
            self._delivered()
            return
        self._transport.write(self._unsent[:1])
        self._unsent = self._unsent[1:]
        self._timer = self._loop.call_later(pause_s, self._drip, pause_s)

    def _pace(self) -> None:
        while self._unsent and self._writable and not self._closing:
            self._transport.write(self._unsent[:65_536])
            self._unsent = self._unsent[65_536:]
        if not self._unsent:
            self._delivered()

    def _refuse(self, payload: bytes) -> None:
        self._listener.bad_request()
        self._transport.write(payload)
        self._keep_alive = False
        self._closing = True
        self._transport.close()
