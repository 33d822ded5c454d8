"""Requests to buyers through aiohttp: lenient, and what the native transport is measured by."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from types import SimpleNamespace

import aiohttp
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDict
from yarl import URL

from buyers.aiohttp_connector import QuietConnector
from buyers.aiohttp_faults import DroppedError, fault_of
from buyers.compression import OversizeError, unpacked
from buyers.faults import NOT_HTTP
from buyers.outbound import ForbiddenAddressError, OutboundRule
from buyers.proxying import AUTHORIZATION, CREDENTIALS_REFUSED, REFUSED, Proxy
from buyers.resolver import CachingResolver
from buyers.transport import (
    MAXIMUM_ANSWER,
    Answer,
    FaultKind,
    Origin,
    PreparedRequest,
    RawAnswer,
    Result,
    TransportFault,
)

_SWITCHING = 101


class AiohttpTransport:
    """The ``Transport`` on aiohttp. Must be made inside a running event loop.

    ``per_origin`` bounds the requests in flight to one origin, ``keep_alive_s`` how long an idle
    connection is kept. ``resolver`` looks host names up, and is closed with the transport. ``tls``
    replaces the system's trust store; verification stays on unless it says otherwise.
    """

    def __init__(
        self,
        rule: OutboundRule,
        *,
        per_origin: int = 2000,
        keep_alive_s: float = 30.0,
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._rule = rule
        self._per_origin = per_origin
        self._live: dict[Origin, int] = {}
        self._resolver = resolver or CachingResolver()
        connector = QuietConnector(
            limit=0,
            keepalive_timeout=keep_alive_s,
            # The resolver remembers by itself, and for longer where an answer doesn't come.
            use_dns_cache=False,
            resolver=self._resolver,
            ssl=tls or True,
            socket_factory=rule.open_socket,
        )
        self._session = _session(connector)
        self._watched_session = _session(connector, _opening_trace())

    def request(
        self,
        prepared: PreparedRequest,
        read: Callable[[Answer], Result],
        opened: Callable[[], None] | None = None,
    ) -> asyncio.Future[Result]:
        """See ``Transport.request``."""
        return self.send(prepared, read, opened)

    def through(self, proxy: Proxy) -> "Proxied":
        """The same transport, all of whose requests go through ``proxy``.

        Neither the proxy's nor the buyer's address may be one that the rule forbids. The buyer's
        name is looked up here for that, although the proxy looks it up again.
        """
        return Proxied(self, proxy)

    def send(
        self,
        prepared: PreparedRequest,
        read: Callable[[Answer], Result],
        opened: Callable[[], None] | None,
        proxy: Proxy | None = None,
    ) -> asyncio.Future[Result]:
        """As ``request``, through ``proxy`` if given."""
        return self._loop.create_task(self._exchange(prepared, read, opened, proxy))

    async def close(self) -> None:
        """Close every connection."""
        await self._watched_session.close()
        await self._session.close()
        await self._resolver.close()

    async def _exchange(
        self,
        prepared: PreparedRequest,
        read: Callable[[Answer], Result],
        opened: Callable[[], None] | None,
        proxy: Proxy | None,
    ) -> Result:
        origin = prepared.origin
        live = self._live.get(origin, 0)
        if live >= self._per_origin:
            return read(TransportFault(FaultKind.OWN_LIMIT, f"{live} requests in flight"))
        self._live[origin] = live + 1
        try:
            return read(await self._answer(prepared, opened, proxy))
        finally:
            self._live[origin] -= 1
            if not self._live[origin]:
                del self._live[origin]

    async def _answer(
        self,
        prepared: PreparedRequest,
        opened: Callable[[], None] | None,
        proxy: Proxy | None,
    ) -> Answer:
        try:
            if proxy is not None:
                await self._refuse_forbidden(prepared.origin)
            response = await self._send(prepared, opened, proxy)
        except Exception as error:  # noqa: BLE001 - one buyer's trouble is a value, whatever it is
            return fault_of(error)
        if response.status == _SWITCHING:
            response.close()
            return TransportFault(*NOT_HTTP, response.status)
        if proxy is not None and _by_the_proxy(prepared, response):
            response.close()
            return TransportFault(*REFUSED)
        try:
            body = await _bounded_body(response)
        except Exception as error:  # noqa: BLE001 - as above, with the status already known
            response.close()
            return fault_of(error, response.status)
        except BaseException:
            response.close()
            raise
        response.release()
        return RawAnswer(response.status, body, response.headers.get("Retry-After"))

    async def _refuse_forbidden(self, origin: Origin) -> None:
        found = await self._resolver.resolve(origin.host, origin.port, socket.AF_UNSPEC)
        if not all(self._rule.permits(address["host"]) for address in found):
            raise ForbiddenAddressError

    async def _send(
        self,
        prepared: PreparedRequest,
        opened: Callable[[], None] | None,
        proxy: Proxy | None,
    ) -> aiohttp.ClientResponse:
        session = self._session if opened is None else self._watched_session
        for_proxy = _headers_for(proxy)
        # Inside a tunnel the buyer reads the headers, else the proxy does.
        to_both = for_proxy.items() if prepared.origin.scheme == "http" else ()
        return await session.request(
            prepared.method,
            URL(f"{prepared.origin}{prepared.target}", encoded=True),
            headers=CIMultiDict((*prepared.constant.pairs, *prepared.headers, *to_both)),
            data=prepared.body,
            allow_redirects=False,
            trace_request_ctx=opened,
            proxy=None if proxy is None else proxy.url,
            proxy_headers=for_proxy,
            middlewares=() if prepared.method == "POST" else (_once,),
        )


class Proxied:
    """The ``Transport`` through one proxy; closed with what it was made from."""

    def __init__(self, transport: AiohttpTransport, proxy: Proxy) -> None:
        self._transport = transport
        self._proxy = proxy

    def request(
        self,
        prepared: PreparedRequest,
        read: Callable[[Answer], Result],
        opened: Callable[[], None] | None = None,
    ) -> asyncio.Future[Result]:
        """See ``Transport.request``."""
        return self._transport.send(prepared, read, opened, self._proxy)

    async def close(self) -> None:
        """Nothing of its own is open."""


def _headers_for(proxy: Proxy | None) -> Mapping[str, str]:
    if proxy is None or proxy.authorization is None:
        return {}
    return {AUTHORIZATION: proxy.authorization}


def _by_the_proxy(prepared: PreparedRequest, response: aiohttp.ClientResponse) -> bool:
    """Whether the proxy refuses us; what comes out of a tunnel is the buyer's word."""
    return response.status == CREDENTIALS_REFUSED and prepared.origin.scheme == "http"


async def _once(
    request: aiohttp.ClientRequest,
    handler: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]],
) -> aiohttp.ClientResponse:
    """Keeps aiohttp from silently repeating a GET or PUT whose connection broke."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise DroppedError from error


def _session(
    connector: aiohttp.TCPConnector, trace: aiohttp.TraceConfig | None = None
) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        connector_owner=trace is None,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None),
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        trace_configs=[] if trace is None else [trace],
    )


def _opening_trace() -> aiohttp.TraceConfig:
    async def opened(
        _session: aiohttp.ClientSession, context: SimpleNamespace, _params: object
    ) -> None:
        context.trace_request_ctx()

    trace: aiohttp.TraceConfig = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(opened)
    trace.on_connection_reuseconn.append(opened)
    return trace


async def _bounded_body(response: aiohttp.ClientResponse) -> bytes:
    length = response.content_length
    if length is not None and length > MAXIMUM_ANSWER:
        raise OversizeError
    chunks: list[bytes] = []
    total = 0
    while chunk := await response.content.readany():
        total += len(chunk)
        if total > MAXIMUM_ANSWER:
            raise OversizeError
        chunks.append(chunk)
    body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    encoding = response.headers.get("Content-Encoding")
    return body if encoding is None else unpacked(body, encoding, MAXIMUM_ANSWER)
