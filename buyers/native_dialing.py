"""Opening connections: look the name up, check the address, connect, secure."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from ipaddress import ip_address

from aiohappyeyeballs import start_connection
from aiohttp.abc import AbstractResolver

from buyers.native_tls import ResumingContext
from buyers.outbound import OutboundRule
from buyers.transport import Origin

DIAL_S = 5.0
"""How long a connection may take to open, the name's look-up and TLS included."""

NEXT_ADDRESS_S = 0.25
"""How long an address may take before the next one is tried beside it."""

AddressInfo = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]


class Dialler:
    """Opens connections to one origin. Raises OSError or UnicodeError when none comes about."""

    def __init__(
        self,
        origin: Origin,
        rule: OutboundRule,
        resolver: AbstractResolver,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._origin = origin
        self._rule = rule
        self._resolver = resolver
        self._tls = None if tls is None else ResumingContext(tls)

    async def dial(self, make: Callable[[], asyncio.Protocol]) -> None:
        """Connect a protocol made by ``make``."""
        async with asyncio.timeout(DIAL_S):
            addresses = await self._addresses()
            connected = await start_connection(
                addresses,
                happy_eyeballs_delay=NEXT_ADDRESS_S,
                socket_factory=self._rule.open_socket,
            )
            await self._secure(connected, make)

    def remember(self, secured: ssl.SSLObject) -> None:
        """Let later connections take up this one's TLS session."""
        if self._tls is not None:
            self._tls.remember(secured)

    async def _secure(self, connected: socket.socket, make: Callable[[], asyncio.Protocol]) -> None:
        open_ = partial(asyncio.get_running_loop().create_connection, make, sock=connected)
        try:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is None:
                await open_()
            else:
                name = self._origin.host.rstrip(".")
                await open_(ssl=self._tls, server_hostname=name)
        except BaseException:
            connected.close()
            raise

    async def _addresses(self) -> list[AddressInfo]:
        host, port = self._origin.host, self._origin.port
        with suppress(ValueError):
            version = ip_address(host).version
            return [_info(socket.AF_INET if version == 4 else socket.AF_INET6, 0, host, port)]
        found = await self._resolver.resolve(host, port, socket.AF_UNSPEC)
        return [_info(each["family"], each["proto"], each["host"], port) for each in found]


def _info(family: int, protocol: int, host: str, port: int) -> AddressInfo:
    address = (host, port) if family == socket.AF_INET else (host, port, 0, 0)
    return family, socket.SOCK_STREAM, protocol, "", address
