"""A forward proxy on loopback: tunnels by CONNECT, and requests in absolute form."""

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from buyers.proxying import Proxy
from tests.contract.raw_buyer import Connection, RawBuyer, Request

Behaviour = Callable[[Connection, RawBuyer], Awaitable[None]]

HOP_BY_HOP = frozenset({"proxy-authorization", "proxy-connection"})


def the_proxy(proxy: RawBuyer, authorization: str | None = None) -> Proxy:
    """What a transport is told of a proxy that a test runs."""
    return Proxy(f"http://127.0.0.1:{proxy.origin.port}", authorization)


async def relay(connection: Connection, proxy: RawBuyer) -> None:
    """Do what each request asks for, one after the other."""
    while True:
        request = await connection.request()
        proxy.requests.append(request)
        if request.line.startswith("CONNECT "):
            await _tunnel(connection, request)
            return
        await _forward(connection, request)


def refusing(status: str) -> Behaviour:
    """Answers each request, whatever it is, with ``status``."""

    async def refuse(connection: Connection, proxy: RawBuyer) -> None:
        while True:
            proxy.requests.append(await connection.request())
            await connection.answer(b"no", status)

    return refuse


async def _tunnel(connection: Connection, request: Request) -> None:
    host, port = request.line.split(" ")[1].rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    await connection.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
    try:
        await asyncio.gather(_pump(connection.reader, writer), _pump(reader, connection.writer))
    finally:
        writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def _forward(connection: Connection, request: Request) -> None:
    method, url, version = request.line.split(" ")
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    lines = [f"{method} {parts.path}?{parts.query} {version}"]
    lines += [f"{k}: {v}" for k, v in request.headers.items() if k not in HOP_BY_HOP]
    try:
        writer.write("\r\n".join([*lines, "", ""]).encode() + request.body)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        await connection.send(head + await reader.readexactly(length))
    finally:
        writer.close()
