"""Requests to buyers through aiohttp: lenient, and what the native transport is measured by."""

import asyncio
import logging
import select
import ssl
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError, PayloadEncodingError
from aiohttp.tracing import Trace
from multidict import CIMultiDict
from yarl import URL

from buyers.compression import OversizeError, UnreadableEncodingError, unpacked
from buyers.faults import (
    BROKEN,
    NO_HANDSHAKE,
    NO_SUCH_HOST,
    NOT_CERTIFIED,
    NOT_DECODED,
    NOT_HTTP,
    TOO_LARGE,
    Told,
    socket_trouble,
)
from buyers.outbound import ForbiddenAddressError, OutboundRule
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

_log = logging.getLogger(__name__)

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
        self._per_origin = per_origin
        self._live: dict[Origin, int] = {}
        self._resolver = resolver or CachingResolver()
        connector = _Connector(
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
        return self._loop.create_task(self._exchange(prepared, read, opened))

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
    ) -> Result:
        origin = prepared.origin
        live = self._live.get(origin, 0)
        if live >= self._per_origin:
            return read(TransportFault(FaultKind.OWN_LIMIT, f"{live} requests in flight"))
        self._live[origin] = live + 1
        try:
            return read(await self._answer(prepared, opened))
        finally:
            self._live[origin] -= 1
            if not self._live[origin]:
                del self._live[origin]

    async def _answer(self, prepared: PreparedRequest, opened: Callable[[], None] | None) -> Answer:
        try:
            response = await self._send(prepared, opened)
        except Exception as error:  # noqa: BLE001 - one buyer's trouble is a value, whatever it is
            return _fault(error)
        if response.status == _SWITCHING:
            response.close()
            return TransportFault(*NOT_HTTP, response.status)
        try:
            body = await _bounded_body(response)
        except Exception as error:  # noqa: BLE001 - as above, with the status already known
            response.close()
            return _fault(error, response.status)
        except BaseException:
            response.close()
            raise
        response.release()
        return RawAnswer(response.status, body, response.headers.get("Retry-After"))

    async def _send(
        self, prepared: PreparedRequest, opened: Callable[[], None] | None
    ) -> aiohttp.ClientResponse:
        session = self._session if opened is None else self._watched_session
        return await session.request(
            prepared.method,
            URL(f"{prepared.origin}{prepared.target}", encoded=True),
            headers=CIMultiDict((*prepared.constant.pairs, *prepared.headers)),
            data=prepared.body,
            allow_redirects=False,
            trace_request_ctx=opened,
            middlewares=() if prepared.method == "POST" else (_once,),
        )


class _Connector(aiohttp.TCPConnector):
    """Never reuses a connection on which something came in while it was idle.

    What came would be taken for the answer to the next request: one call's bid for another's.
    """

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the signature is aiohttp's
    ) -> Connection:
        while True:
            connection = await super().connect(req, traces, timeout)
            if _is_quiet(connection):
                return connection
            connection.close()


def _is_quiet(connection: Connection) -> bool:
    """Whether nothing has come in, not even what the event loop has not seen yet."""
    if connection.protocol is None or connection.transport is None:
        return True
    if connection.protocol.should_close:
        return False
    if connection.transport.get_extra_info("ssl_object") is not None:
        # What comes may be a ticket.
        return True
    poll = select.poll()
    poll.register(connection.transport.get_extra_info("socket").fileno(), select.POLLIN)
    return not poll.poll(0)


class _DroppedError(Exception):
    """The connection broke after the request may have left."""


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
        raise _DroppedError from error


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


def _fault(error: Exception, status: int | None = None) -> TransportFault:
    kind, detail = _told(error)
    if kind is FaultKind.CRASHED:
        _log.error("request crashed", extra={"error": type(error).__name__})
    return TransportFault(kind, detail, status)


def _told(error: Exception) -> Told:
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else None
    if isinstance(cause, ForbiddenAddressError):
        return FaultKind.FORBIDDEN, str(cause)
    if isinstance(error, aiohttp.ClientPayloadError):
        return NOT_HTTP if _is_nonsense(error.__cause__) else BROKEN
    for known, told in _WORDS:
        if isinstance(error, known):
            return told
    if cause is not None:
        return socket_trouble(cause)
    if isinstance(error, aiohttp.ClientError | ConnectionError):
        return BROKEN
    return FaultKind.CRASHED, type(error).__name__


def _is_nonsense(cause: BaseException | None) -> bool:
    """Whether a body's framing is wrong; one that merely ends too soon is not."""
    return isinstance(cause, HttpProcessingError) and not isinstance(cause, PayloadEncodingError)


_WORDS: tuple[tuple[type[Exception], Told], ...] = (
    (aiohttp.ClientConnectorCertificateError, NOT_CERTIFIED),
    (aiohttp.ClientConnectorSSLError, NO_HANDSHAKE),
    (aiohttp.ClientConnectorDNSError, NO_SUCH_HOST),
    (aiohttp.InvalidURL, NO_SUCH_HOST),
    (UnicodeError, NO_SUCH_HOST),
    (OversizeError, TOO_LARGE),
    (UnreadableEncodingError, NOT_DECODED),
    (aiohttp.ClientResponseError, NOT_HTTP),
    (_DroppedError, BROKEN),
)
