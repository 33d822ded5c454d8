"""Requests to buyers over our own HTTP/1.1 client: one future and one write for each."""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Iterable

from aiohttp.abc import AbstractResolver

from buyers.native_connection import Exchange
from buyers.native_dialing import Dialler
from buyers.native_pool import OriginPool, PoolLimits
from buyers.native_tls import verifying_context
from buyers.outbound import OutboundRule
from buyers.resolver import CachingResolver
from buyers.transport import (
    Answer,
    FaultKind,
    Origin,
    PreparedRequest,
    Result,
    TransportFault,
    request_head,
)

SWEEP_S = 1.0
"""How often idle connections are looked through."""

WARMED_ORIGINS = 256
"""How many origins get a connection before any request, at most."""

WARMED_AT_ONCE = 8


class NativeTransport:
    """The ``Transport`` of our own. Must be made inside a running event loop.

    ``resolver`` looks host names up, and is closed with the transport. ``tls`` replaces the
    system's trust store; verification stays on unless it says otherwise.
    """

    def __init__(
        self,
        rule: OutboundRule,
        *,
        limits: PoolLimits | None = None,
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._rule = rule
        self._limits = limits or PoolLimits()
        self._resolver = resolver or CachingResolver()
        self._tls = tls or verifying_context()
        self._pools: dict[Origin, OriginPool] = {}
        self._warming: list[asyncio.Task[None]] = []
        self._sweeping: asyncio.TimerHandle | None = None
        self._closed = False

    def request(
        self,
        prepared: PreparedRequest,
        read: Callable[[Answer], Result],
        opened: Callable[[], None] | None = None,
    ) -> asyncio.Future[Result]:
        """See ``Transport.request``."""
        pool = self._pools.get(prepared.origin) or self._open(prepared.origin)
        try:
            data = _encoded(prepared)
        except ValueError:
            exchange = Exchange(prepared, b"", read, opened, pool)
            exchange.settle(TransportFault(FaultKind.CRASHED, "the request can't be sent"))
            return exchange
        exchange = Exchange(prepared, data, read, opened, pool)
        pool.submit(exchange)
        return exchange

    def warm(self, origins: Iterable[Origin]) -> None:
        """Open a connection to each origin that has none, in the background; failures are quiet.

        Never more than a few at a time, and none beyond the first ``WARMED_ORIGINS``.
        """
        for task in self._warming:
            task.cancel()
        left = deque(list(dict.fromkeys(origins))[:WARMED_ORIGINS])
        workers = min(WARMED_AT_ONCE, len(left))
        self._warming = [self._loop.create_task(self._warm(left)) for _ in range(workers)]

    async def close(self) -> None:
        """Close every connection."""
        self._closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        for task in self._warming:
            task.cancel()
        dials = [dial for pool in self._pools.values() for dial in pool.close()]
        await asyncio.gather(*dials, *self._warming, return_exceptions=True)
        await self._resolver.close()

    def _open(self, origin: Origin) -> OriginPool:
        tls = self._tls if origin.scheme == "https" else None
        dialler = Dialler(origin, self._rule, self._resolver, tls)
        pool = self._pools[origin] = OriginPool(dialler, self._limits, self._loop)
        if self._closed:
            pool.close()
        elif self._sweeping is None:
            self._sweeping = self._loop.call_later(SWEEP_S, self._sweep)
        return pool

    def _sweep(self) -> None:
        for origin, pool in list(self._pools.items()):
            pool.sweep()
            if pool.is_unused:
                del self._pools[origin]
        again = bool(self._pools)
        self._sweeping = self._loop.call_later(SWEEP_S, self._sweep) if again else None

    async def _warm(self, left: deque[Origin]) -> None:
        while left:
            origin = left.popleft()
            pool = self._pools.get(origin) or self._open(origin)
            dial = pool.open_ahead()
            if dial is not None:
                # Not cancelled with us: a request may have come to wait for it.
                await asyncio.wait([dial])


def _encoded(prepared: PreparedRequest) -> bytes:
    """The whole request. Raises ValueError where a value would add a line of its own."""
    head = prepared.head
    if head is None:
        head = request_head(prepared.origin, prepared.method, prepared.target, prepared.constant)
    if prepared.headers:
        head += _lines(prepared.headers)
    body = prepared.body
    if body is None:
        return head + b"\r\n"
    return b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)


def _lines(headers: tuple[tuple[str, str], ...]) -> bytes:
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
        raise ValueError("a header holds a line break")
    return lines.encode()
