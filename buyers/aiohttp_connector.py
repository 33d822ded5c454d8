"""aiohttp's connections: none that may hold an answer nobody asked for, and proxies told apart."""

import select

import aiohttp
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from buyers.proxying import ProxyTroubleError, proxy_trouble


class QuietConnector(aiohttp.TCPConnector):
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
            connection = await self._connected(req, traces, timeout)
            if _is_quiet(connection):
                return connection
            connection.close()

    async def _connected(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the signature is aiohttp's
    ) -> Connection:
        try:
            return await super().connect(req, traces, timeout)
        except (aiohttp.ClientError, OSError) as error:
            told = None if req.proxy is None else proxy_trouble(error)
            if told is None:
                raise
        # Not from the error: it holds what was sent to the proxy.
        raise ProxyTroubleError(told)


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
