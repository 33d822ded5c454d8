"""The connections to one origin: idle ones, requests that wait for one, and new ones."""

import asyncio
import ssl
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import inf
from typing import Protocol

from buyers.faults import BROKEN, connect_fault
from buyers.native_answer import KNOWN_HEADS, Heads
from buyers.native_connection import AnyExchange, NativeConnection
from buyers.transport import Answer, FaultKind, PreparedRequest, TransportFault


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Bounds for one origin, in counts and seconds.

    ``in_flight``: requests at once, those that wait for a connection included. ``dials``:
    connections being opened at once. ``keep_alive_s``: how long an idle connection is kept.
    ``spare``: idle connections to have ready while the origin is in use, which it is for
    ``in_use_s`` after a request. ``again_s``: how long none is opened ahead after one failed.
    """

    in_flight: int = 2000
    dials: int = 32
    keep_alive_s: float = 30.0
    spare: int = 1
    in_use_s: float = 600.0
    again_s: float = 5.0


class Dialling(Protocol):
    """Opens connections and keeps TLS sessions; see ``Dialler``."""

    def dial(self, make: Callable[[], NativeConnection]) -> Awaitable[None]:
        """Connect a protocol made by ``make``. Raises when that fails."""

    def remember(self, secured: ssl.SSLObject) -> None:
        """Let later connections take up this one's TLS session."""


class OriginPool:
    """Every state changes in one synchronous step. ``repr`` is the state.

    Requests wait only while connections are being opened: at most ``dials`` of them, one for each
    request that waits. A connection that one of them has opened or freed goes to who waits longest.
    """

    def __init__(
        self, dialler: Dialling, limits: PoolLimits, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._dialler = dialler
        self._limits = limits
        self.loop = loop
        self._idle: dict[NativeConnection, None] = {}
        self._busy: set[NativeConnection] = set()
        self._by_ping: dict[str, NativeConnection] = {}
        self._waiting: OrderedDict[AnyExchange, None] = OrderedDict()
        self._repeated: OrderedDict[AnyExchange, None] = OrderedDict()
        self._dials: set[asyncio.Task[None]] = set()
        self._heads: Heads = {}
        self._in_flight = 0
        self._used_at = -inf
        self._ahead_at = 0.0
        self._closed = False

    def __repr__(self) -> str:
        return (
            f"<OriginPool {len(self._idle)} idle, {len(self._busy)} busy, "
            f"{len(self._waiting) + len(self._repeated)} waiting, {len(self._dials)} dialling>"
        )

    @property
    def is_unused(self) -> bool:
        """Whether nothing would be lost without this pool."""
        lately = self.loop.time() - self._used_at < self._limits.in_use_s
        return not (self._idle or self._in_flight or self._dials or lately)

    def submit(self, exchange: AnyExchange) -> None:
        """Send a request as soon as a connection carries it."""
        if self._closed or self._in_flight >= self._limits.in_flight:
            why = "closed" if self._closed else f"{self._in_flight} requests in flight"
            exchange.settle(TransportFault(FaultKind.OWN_LIMIT, why))
            return
        self._in_flight += 1
        connection = self._take(exchange.prepared)
        if connection is None:
            self._waiting[exchange] = None
            self._dial()
        else:
            self._busy.add(connection)
            connection.send(exchange)

    def open_ahead(self) -> asyncio.Task[None] | None:
        """Open a connection for requests to come, unless one is there or that failed lately."""
        if len(self._idle) + len(self._dials) >= max(1, self._limits.spare) or self._in_flight:
            return None
        return self._dial_ahead()

    def sweep(self) -> None:
        """Close what has been idle for too long; open ahead what is in use."""
        if len(self._heads) >= KNOWN_HEADS:
            # Most have a date in them, and never come again.
            self._heads.clear()
        now = self.loop.time()
        kept_since = now - self._limits.keep_alive_s
        for connection in [idle for idle in self._idle if idle.idle_since < kept_since]:
            self._forget(connection)
            connection.close()
        if now - self._used_at < self._limits.in_use_s:
            self._keep_spare()

    def close(self) -> list[asyncio.Task[None]]:
        """Close every connection; the tasks that are still to end."""
        self._closed = True
        dials = list(self._dials)
        for dial in dials:
            dial.cancel()
        for connection in [*self._idle, *self._busy]:
            connection.break_off()
        for exchange in [*self._repeated, *self._waiting]:
            self._give_up(exchange, TransportFault(FaultKind.OWN_LIMIT, "closed"))
        self._repeated.clear()
        self._waiting.clear()
        return dials

    def answered(self, connection: NativeConnection, exchange: AnyExchange, answer: Answer) -> None:
        """See ``Keeper``."""
        self._in_flight -= 1
        exchange.settle(answer)
        if self._waiting and connection.is_quiet():
            connection.send(self._waiting.popitem(last=False)[0])
            return
        self._busy.discard(connection)
        self._rest(connection)
        prepared = exchange.prepared
        if prepared.repeatable and prepared.ping_id is not None:
            connection.ping_id = prepared.ping_id
            self._by_ping[prepared.ping_id] = connection

    def ended(self, connection: NativeConnection, exchange: AnyExchange, answer: Answer) -> None:
        """See ``Keeper``."""
        self._busy.discard(connection)
        self._in_flight -= 1
        exchange.settle(answer)

    def dropped(
        self, connection: NativeConnection, exchange: AnyExchange, fault: TransportFault
    ) -> None:
        """See ``Keeper``: a ping goes out once more, on a connection that is new."""
        if not exchange.prepared.repeatable or exchange.repeated or self._closed:
            self.ended(connection, exchange, fault)
            return
        self._busy.discard(connection)
        exchange.connection = None
        exchange.repeated = True
        self._repeated[exchange] = None
        self._dial()

    def lost(self, connection: NativeConnection) -> None:
        """See ``Keeper``."""
        self._forget(connection)

    def cancelled(self, exchange: AnyExchange) -> None:
        """See ``Keeper``."""
        self._in_flight -= 1
        connection = exchange.connection
        if connection is not None:
            self._busy.discard(connection)
            connection.close()
        else:
            self._waiting.pop(exchange, None)
            self._repeated.pop(exchange, None)

    def _take(self, prepared: PreparedRequest) -> NativeConnection | None:
        if not prepared.repeatable and prepared.ping_id is not None:
            connection = self._by_ping.get(prepared.ping_id)
            if connection is not None:
                self._forget(connection)
                if connection.is_quiet():
                    return connection
                connection.close()
        while self._idle:
            connection, _ = self._idle.popitem()
            self._forget_ping(connection)
            if connection.is_quiet():
                if not self._idle:
                    self._keep_spare()
                return connection
            connection.close()
        return None

    def _rest(self, connection: NativeConnection) -> None:
        self._used_at = self.loop.time()
        self._lay_down(connection)

    def _lay_down(self, connection: NativeConnection) -> None:
        # From now on it may break, or hear something, at any time.
        connection.rested = True
        connection.idle_since = self.loop.time()
        self._idle[connection] = None

    def _forget(self, connection: NativeConnection) -> None:
        self._idle.pop(connection, None)
        self._forget_ping(connection)

    def _forget_ping(self, connection: NativeConnection) -> None:
        if connection.ping_id is not None:
            self._by_ping.pop(connection.ping_id, None)
            connection.ping_id = None

    def _keep_spare(self) -> None:
        if len(self._idle) + len(self._dials) < self._limits.spare:
            self._dial_ahead()

    def _dial_ahead(self) -> asyncio.Task[None] | None:
        return self._dial() if self.loop.time() >= self._ahead_at else None

    def _dial(self) -> asyncio.Task[None] | None:
        if self._closed or len(self._dials) >= self._limits.dials:
            return None
        task = self.loop.create_task(self._open())
        self._dials.add(task)
        task.add_done_callback(self._dialled)
        return task

    async def _open(self) -> None:
        opened: list[NativeConnection] = []

        def make() -> NativeConnection:
            opened.append(NativeConnection(self, self._dialler.remember, self._heads))
            return opened[-1]

        try:
            await self._dialler.dial(make)
            self._ready(opened[-1])
        except Exception as error:  # noqa: BLE001 - one buyer's trouble is a value
            self._failed(connect_fault(error))

    def _ready(self, connection: NativeConnection) -> None:
        if not connection.is_quiet():
            connection.close()
            self._failed(TransportFault(FaultKind.UNREACHABLE, "closed at once"))
            return
        queue = self._repeated or self._waiting
        if queue:
            self._busy.add(connection)
            connection.send(queue.popitem(last=False)[0])
        else:
            self._lay_down(connection)

    def _failed(self, fault: TransportFault) -> None:
        self._ahead_at = self.loop.time() + self._limits.again_s
        queue = self._repeated or self._waiting
        if queue:
            self._give_up(queue.popitem(last=False)[0], fault)

    def _give_up(self, exchange: AnyExchange, fault: TransportFault) -> None:
        self._in_flight -= 1
        # What is to be sent again may have arrived the first time.
        exchange.settle(TransportFault(*BROKEN) if exchange.repeated else fault)

    def _dialled(self, task: asyncio.Task[None]) -> None:
        self._dials.discard(task)
        if len(self._dials) < len(self._waiting) + len(self._repeated):
            self._dial()
