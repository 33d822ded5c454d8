"""Requests to subscribers: one client session for all, to addresses that may be reached."""

import asyncio
import os
from contextlib import suppress
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from auction.webhooks.hooks import HookRequest
from buyers.outbound import ForbiddenAddressError, OutboundRule
from buyers.resolver import CachingResolver

TIMEOUT_S: Final = 10.0
"""How long a subscriber may take to answer, connecting included."""

MOST_READ: Final = 65_536
"""How much of an answer is read, so that its connection can be used again."""

READ_S: Final = 1.0
KEEP_ALIVE_S: Final = 30.0


class WebhookSender:
    """Sends to subscribers. Must be made inside a running event loop."""

    def __init__(
        self,
        rule: OutboundRule,
        *,
        timeout_s: float = TIMEOUT_S,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._resolver = resolver or CachingResolver()
        self._timeout_s = timeout_s
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                keepalive_timeout=KEEP_ALIVE_S,
                use_dns_cache=False,
                resolver=self._resolver,
                socket_factory=rule.open_socket,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            auto_decompress=False,
        )

    async def send(self, request: HookRequest) -> str | None:
        """None when it was delivered, else why not, in words without address or content."""
        try:
            async with self._session.post(
                URL(request.url, encoded=True),
                data=request.body,
                headers=request.headers,
                allow_redirects=False,
            ) as response:
                await _drain(response)
                return _told(response.status)
        except TimeoutError:
            return f"no answer within {self._timeout_s:g} s"
        except Exception as error:  # noqa: BLE001 - one subscriber's trouble is a value, whatever it is
            return _trouble(error)

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()
        await self._resolver.close()


def _told(status: int) -> str | None:
    if 200 <= status < 300:
        return None
    return f"HTTP {status}" + (": redirects are not followed" if 300 <= status < 400 else "")


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Read what may be read; a connection with more on it is closed. The status stands."""
    with suppress(TimeoutError, aiohttp.ClientError, ConnectionError):
        async with asyncio.timeout(READ_S):
            left = MOST_READ
            while left > 0 and (chunk := await response.content.readany()):
                left -= len(chunk)
            if left > 0:
                return
    response.close()


def _trouble(error: Exception) -> str:
    """An exception's own text may hold the URL, and with it a token."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else None
    if isinstance(cause, ForbiddenAddressError):
        return str(cause)
    for kind, words in _WORDS:
        if isinstance(error, kind):
            return words
    if cause is not None:
        why = os.strerror(cause.errno).lower() if cause.errno else "connection failed"
        return f"can't connect: {why}"
    return f"the request failed ({type(error).__name__})"


_WORDS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (aiohttp.ClientConnectorCertificateError, "can't connect: certificate not accepted"),
    (aiohttp.ClientConnectorSSLError, "can't connect: TLS handshake failed"),
    (aiohttp.ClientConnectorDNSError, "can't connect: host name does not resolve"),
    (aiohttp.ServerDisconnectedError, "the connection broke before an answer came"),
    (aiohttp.ClientPayloadError, "the connection broke before an answer came"),
    (aiohttp.ClientResponseError, "the answer is not HTTP"),
)
