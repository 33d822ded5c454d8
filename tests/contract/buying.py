"""Transports, requests, and what buyers do with them."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from ipaddress import ip_network

from buyers.aiohttp_transport import AiohttpTransport
from buyers.native_pool import PoolLimits
from buyers.native_transport import NativeTransport
from buyers.outbound import OutboundRule
from buyers.transport import Answer, HeaderBlock, PreparedRequest, Transport
from tests.contract.raw_buyer import Connection, RawBuyer

LOOPBACK = OutboundRule([ip_network("127.0.0.0/8")])
HEADERS = HeaderBlock((("User-Agent", "pingpost"), ("Content-Type", "application/json")))

Open = Callable[..., AbstractAsyncContextManager[Transport]]


@asynccontextmanager
async def open_aiohttp(
    rule: OutboundRule = LOOPBACK, *, per_origin: int = 1000, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Transport]:
    transport = AiohttpTransport(rule, per_origin=per_origin, tls=tls)
    try:
        yield transport
    finally:
        await transport.close()


@asynccontextmanager
async def open_native(
    rule: OutboundRule = LOOPBACK, *, per_origin: int = 1000, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Transport]:
    transport = NativeTransport(rule, limits=PoolLimits(in_flight=per_origin, spare=0), tls=tls)
    try:
        yield transport
    finally:
        await transport.close()


def a_request(buyer: RawBuyer, method: str = "POST", body: bytes | None = b"{}") -> PreparedRequest:
    return PreparedRequest(buyer.origin, method, "/ping?a=%20b", HEADERS, body=body)


def unread(answer: Answer) -> Answer:
    return answer


async def ask(transport: Transport, request: PreparedRequest) -> Answer:
    async with asyncio.timeout(10):
        return await transport.request(request, unread)


def answering(
    *answers: Callable[[Connection], Awaitable[None]],
) -> Callable[[Connection, RawBuyer], Awaitable[None]]:
    """One connection after another, one request after another; the last answer for ever."""
    left = list(answers)

    async def behave(connection: Connection, buyer: RawBuyer) -> None:
        while True:
            buyer.requests.append(await connection.request())
            await (left.pop(0) if len(left) > 1 else left[0])(connection)

    return behave


def sending(data: bytes) -> Callable[[Connection], Awaitable[None]]:
    async def answer(connection: Connection) -> None:
        await connection.send(data)

    return answer


def sending_and_closing(data: bytes) -> Callable[[Connection], Awaitable[None]]:
    async def answer(connection: Connection) -> None:
        await connection.send(data)
        connection.writer.close()

    return answer


async def hang(connection: Connection) -> None:
    await connection.until_closed()
    raise ConnectionError


async def reset(connection: Connection) -> None:
    connection.reset()
    raise ConnectionError


OK = sending(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
