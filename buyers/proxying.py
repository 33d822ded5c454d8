"""A proxy between us and a buyer: what is known of it, and whose fault it is when it fails."""

from dataclasses import dataclass, field
from typing import Final, Protocol, runtime_checkable

import aiohttp

from buyers.authentication import Resolve
from buyers.faults import NO_SUCH_HOST, Told, socket_trouble
from buyers.transport import FaultKind, Transport
from config import proxies

AUTHORIZATION: Final = "Proxy-Authorization"
CREDENTIALS_REFUSED: Final = 407
_BEYOND_IT: Final = frozenset({502, 503, 504})
"""What proxies answer when it is the buyer that they can't reach."""

_OUT_OF_REACH: Told = (FaultKind.UNREACHABLE, "the proxy can't reach the buyer")
_BROKEN: Told = (FaultKind.PROXY, "proxy: connection broke before the buyer was reached")
REFUSED: Told = (FaultKind.PROXY, "proxy: it does not accept our credentials")


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where it listens, and the value of its ``Proxy-Authorization``; the repr hides that."""

    url: str
    authorization: str | None = field(default=None, repr=False)


@runtime_checkable
class ProxyingTransport(Transport, Protocol):
    """A transport that may go through proxies."""

    def through(self, proxy: Proxy) -> Transport:
        """The same transport, all of whose requests go through ``proxy``."""


class ProxyTroubleError(Exception):
    """No request was sent: the proxy was not reached, or it did not reach the buyer."""

    def __init__(self, told: Told) -> None:
        super().__init__(told[1])
        self.told = told


def compile_proxy(proxy: proxies.Proxy, resolve: Resolve) -> Proxy:
    """The proxy with its secret. Raises SecretUnavailableError."""
    if proxy.user is None or proxy.password is None:
        return Proxy(proxy.url)
    return Proxy(proxy.url, aiohttp.encode_basic_auth(proxy.user, resolve(proxy.password)))


def proxy_trouble(error: Exception) -> Told | None:
    """What an error of connecting through a proxy means, None where it is the buyer's own."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _answer_to_connect(error.status)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return FaultKind.PROXY, f"proxy: {NO_SUCH_HOST[1]}"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        kind, detail = socket_trouble(error.os_error)
        ours = FaultKind.PROXY if kind is FaultKind.UNREACHABLE else kind
        return ours, f"proxy: {detail}"
    # What else fails to connect is TLS with the buyer, inside the tunnel.
    return None if isinstance(error, aiohttp.ClientConnectorError) else _BROKEN


def _answer_to_connect(status: int) -> Told:
    if status in _BEYOND_IT:
        return _OUT_OF_REACH
    if status == CREDENTIALS_REFUSED:
        return REFUSED
    return FaultKind.PROXY, f"proxy: refused with HTTP {status}"
