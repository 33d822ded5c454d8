"""One connection to a buyer, which carries one request at a time."""

import asyncio
import select
import ssl
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeAlias, cast

from buyers.native_answer import AnswerReader, Heads
from buyers.transport import Answer, PreparedRequest, Result, TransportFault

_begin_future = asyncio.Future.__init__
"""Found once; looking for it, and for the running loop, takes longer than making an exchange."""


class Exchange(asyncio.Future[Result], Generic[Result]):
    """A request on its way, which is at once the future of its answer.

    ``connection`` is None while none carries it. ``repeated``: it had to be sent once more.
    """

    __slots__ = ("_read", "connection", "data", "keeper", "opened", "prepared", "repeated")

    def __init__(
        self,
        prepared: PreparedRequest,
        data: bytes,
        read: Callable[[Answer], Result],
        opened: Callable[[], None] | None,
        keeper: "Keeper",
    ) -> None:
        _begin_future(self, loop=keeper.loop)
        self.prepared = prepared
        self.data = data
        self._read = read
        self.opened = opened
        self.keeper = keeper
        self.connection: NativeConnection | None = None
        self.repeated = False

    def settle(self, answer: Answer) -> None:
        """Tell what came of it. A reader that raises, which it must not, reaches who waits."""
        if self.done():
            return
        try:
            self.set_result(self._read(answer))
        except Exception as error:  # noqa: BLE001 - it must not end the connection's callback
            self.set_exception(error)

    def cancel(self, msg: object = None) -> bool:
        """Give up; nobody waits for a late answer, so its connection goes too."""
        if not super().cancel(msg):
            return False
        self.keeper.cancelled(self)
        return True


AnyExchange: TypeAlias = Exchange[Any]
"""Futures are invariant; what their readers make of answers is nobody's business here."""


class Keeper(Protocol):
    """Who owns connections and says what becomes of them."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that all of it runs on."""

    def answered(
        self, connection: "NativeConnection", exchange: AnyExchange, answer: Answer
    ) -> None:
        """The exchange has ended and the connection may carry another."""

    def ended(self, connection: "NativeConnection", exchange: AnyExchange, answer: Answer) -> None:
        """The exchange has ended and the connection with it."""

    def dropped(
        self, connection: "NativeConnection", exchange: AnyExchange, fault: TransportFault
    ) -> None:
        """A kept connection broke before anything was answered."""

    def lost(self, connection: "NativeConnection") -> None:
        """The connection has ended while it carried nothing."""

    def cancelled(self, exchange: AnyExchange) -> None:
        """Nobody waits for the exchange any more."""


class NativeConnection(asyncio.Protocol):
    """One socket. After ``close`` nothing is heard of it any more."""

    __slots__ = (
        "_closed",
        "_exchange",
        "_heard",
        "_keeper",
        "_paused",
        "_poll",
        "_reader",
        "_remember",
        "_tls",
        "_transport",
        "_used",
        "idle_since",
        "ping_id",
        "rested",
    )

    def __init__(
        self,
        keeper: Keeper,
        remember: Callable[[ssl.SSLObject], None],
        heads: Heads | None = None,
    ) -> None:
        self._keeper = keeper
        self._remember = remember
        self._reader = AnswerReader(heads)
        self._poll = select.poll()
        self._transport: asyncio.Transport
        self._tls: ssl.SSLObject | None = None
        self._exchange: AnyExchange | None = None
        self._closed = False
        self._heard = False
        self._paused = False
        self._used = False
        self.idle_since = 0.0
        self.rested = False
        self.ping_id: str | None = None

    def __repr__(self) -> str:
        state = "closed" if self._closed else "idle" if self._exchange is None else "busy"
        return f"<NativeConnection {state}>"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is connected, and secured where it has to be."""
        # uvloop's transports are no subclasses.
        self._transport = cast("asyncio.Transport", transport)
        self._tls = transport.get_extra_info("ssl_object")
        # Anything that the kernel doesn't take at once counts as not written.
        self._transport.set_write_buffer_limits(high=1, low=0)
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def is_quiet(self) -> bool:
        """Whether nothing has come in, not even what the event loop has not seen yet.

        It would be taken for the answer to the next request: one call's bid for another's.
        """
        if self._closed or self._transport.is_closing():
            return False
        # A new TLS connection gets its tickets about now.
        expected = self._tls is not None and not (self._used or self.rested)
        return expected or not self._poll.poll(0)

    def send(self, exchange: AnyExchange) -> None:
        """Write a request; the connection must be idle and quiet."""
        self._exchange = exchange
        exchange.connection = self
        self._heard = False
        self._reader.begin(bodiless=exchange.prepared.method == "HEAD")
        if exchange.opened is not None:
            exchange.opened()
        self._transport.write(exchange.data)

    def close(self) -> None:
        """Close at once; what has not been sent or read is dropped."""
        if not self._closed:
            self._closed = True
            self._exchange = None
            self._reader.close()
            self._transport.abort()

    def break_off(self) -> None:
        """Close at once; a request under way is broken."""
        if self._exchange is None:
            self._lose()
        else:
            self._break(self._exchange)

    def data_received(self, data: bytes) -> None:
        """A part of an answer, or something that nobody asked for."""
        if self._exchange is None:
            self._lose()
            return
        self._heard = True
        answer = self._reader.feed(data)
        if answer is not None:
            self._answered(self._exchange, answer)

    def eof_received(self) -> None:
        """The buyer will send no more."""
        if self._exchange is None:
            self._lose()
        elif self._heard:
            self._end(self._exchange, self._reader.finish())
        else:
            self._break(self._exchange)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has gone, not by our doing."""
        if self._exchange is None:
            self._lose()
        elif exc is None and self._heard:
            self._end(self._exchange, self._reader.finish())
        else:
            self._break(self._exchange)

    def pause_writing(self) -> None:
        """A request has not been taken whole yet."""
        self._paused = True

    def resume_writing(self) -> None:
        """It has been taken."""
        self._paused = False

    def _answered(self, exchange: AnyExchange, answer: Answer) -> None:
        if not self._reader.reusable or self._paused:
            self._end(exchange, answer)
            return
        if self._tls is not None and not self._used:
            # The tickets of TLS 1.3 come after the handshake, with the first answer at the latest.
            self._remember(self._tls)
        self._exchange = None
        self._used = True
        self._keeper.answered(self, exchange, answer)

    def _end(self, exchange: AnyExchange, answer: Answer) -> None:
        if self._tls is not None and not self._used:
            self._remember(self._tls)
        self.close()
        self._keeper.ended(self, exchange, answer)

    def _break(self, exchange: AnyExchange) -> None:
        fault = self._reader.broken()
        untouched = (self._used or self.rested) and not self._heard
        self.close()
        if untouched:
            self._keeper.dropped(self, exchange, fault)
        else:
            self._keeper.ended(self, exchange, fault)

    def _lose(self) -> None:
        if not self._closed:
            self.close()
            self._keeper.lost(self)
