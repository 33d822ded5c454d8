"""What every transport to buyers does, against buyers that behave and buyers that don't."""

import asyncio
import errno
import gzip
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from buyers.outbound import OutboundRule
from buyers.transport import (
    MAXIMUM_ANSWER,
    FaultKind,
    Origin,
    PreparedRequest,
    RawAnswer,
    Transport,
    TransportFault,
)
from tests.contract.buying import (
    HEADERS,
    OK,
    Open,
    a_request,
    answering,
    ask,
    hang,
    reset,
    sending,
    sending_and_closing,
    unread,
)
from tests.contract.raw_buyer import Connection, raw_buyer
from tests.eventually import eventually


async def test_a_post_arrives_as_it_was_prepared(transport: Transport) -> None:
    async with raw_buyer(answering(OK)) as buyer:
        request = a_request(buyer, body='{"é": 1}'.encode())._replace(headers=(("X-Mine", "ü 1"),))
        answer = await ask(transport, request)

    assert answer == RawAnswer(200, b"{}")
    [seen] = buyer.requests
    assert seen.line == "POST /ping?a=%20b HTTP/1.1"
    assert seen.body == '{"é": 1}'.encode()
    assert seen.headers == {
        "host": f"127.0.0.1:{buyer.origin.port}",
        "user-agent": "pingpost",
        "content-type": "application/json",
        "content-length": "9",
        "x-mine": "ü 1",
    }


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("PUT", b"a=1"), ("POST", b"")])
async def test_other_methods_and_bodies(
    transport: Transport, method: str, body: bytes | None
) -> None:
    async with raw_buyer(answering(OK)) as buyer:
        assert await ask(transport, a_request(buyer, method, body)) == RawAnswer(200, b"{}")

    [seen] = buyer.requests
    assert seen.line.startswith(f"{method} /ping")
    assert seen.body == (body or b"")
    assert seen.headers.get("content-length") == (None if body is None else str(len(body)))


async def test_a_connection_is_kept_and_used_again(transport: Transport) -> None:
    async with raw_buyer(answering(OK)) as buyer:
        for _ in range(3):
            await ask(transport, a_request(buyer))

    assert buyer.connections == 1
    assert len(buyer.requests) == 3


async def test_requests_at_once_have_a_connection_each(transport: Transport) -> None:
    everyone = asyncio.Event()

    async def wait_for_all(connection: Connection) -> None:
        await everyone.wait()
        await OK(connection)

    async with raw_buyer(answering(wait_for_all)) as buyer:
        requests = [transport.request(a_request(buyer), unread) for _ in range(150)]
        await eventually(lambda: len(buyer.requests) == 150)
        everyone.set()
        answers = await asyncio.gather(*requests)

    assert set(answers) == {RawAnswer(200, b"{}")}


async def test_a_future_tells_what_its_reader_makes_of_the_answer(transport: Transport) -> None:
    async with raw_buyer(answering(OK)) as buyer:
        read = await transport.request(a_request(buyer), lambda answer: answer.status)

    assert read == 200


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDLESS = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
GZIP = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"


def gzipped(body: bytes) -> bytes:
    packed = gzip.compress(body)
    return GZIP % len(packed) + packed


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (CHUNKED + b"5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n", RawAnswer(200, b"hello!")),
        (ENDLESS + b"hello", RawAnswer(200, b"hello")),
        (b"HTTP/1.0 200 OK\r\n\r\nhello", RawAnswer(200, b"hello")),
        (b"HTTP/1.1 204 No Content\r\n\r\n", RawAnswer(204, b"")),
        (
            b"HTTP/1.1 503 Busy\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n",
            RawAnswer(503, b"", "2"),
        ),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!",
            RawAnswer(200, b"!"),
        ),
        (gzipped(b"hello"), RawAnswer(200, b"hello")),
    ],
)
async def test_answers_of_every_framing_are_read(
    transport: Transport, data: bytes, answer: RawAnswer
) -> None:
    async with raw_buyer(answering(sending_and_closing(data))) as buyer:
        assert await ask(transport, a_request(buyer)) == answer


async def test_a_redirect_is_an_answer_and_not_followed(transport: Transport) -> None:
    async with raw_buyer(answering(OK)) as other:
        there = f"Location: {other.origin}/ping".encode()
        for status in (301, 302, 303, 307, 308):
            data = b"HTTP/1.1 %d Moved\r\n%b\r\nContent-Length: 0\r\n\r\n" % (status, there)
            async with raw_buyer(answering(sending(data))) as buyer:
                assert await ask(transport, a_request(buyer)) == RawAnswer(status, b"")

    assert other.connections == 0


async def test_cookies_are_not_kept(transport: Transport) -> None:
    data = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 2\r\n\r\n{}"
    async with raw_buyer(answering(sending(data))) as buyer:
        named = a_request(buyer)._replace(origin=replace(buyer.origin, host="localhost"))
        await ask(transport, named)
        await ask(transport, named)

    assert "cookie" not in buyer.requests[1].headers


async def test_an_answer_of_just_the_limit_is_read(transport: Transport) -> None:
    body = b"0" * MAXIMUM_ANSWER
    data = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    async with raw_buyer(answering(sending(data))) as buyer:
        assert await ask(transport, a_request(buyer)) == RawAnswer(200, body)


async def flood(connection: Connection) -> None:
    """Chunks until nobody takes them any more."""
    await connection.send(CHUNKED)
    while True:
        await connection.send(b"10000\r\n" + b"0" * 65_536 + b"\r\n")


async def promise_too_much(connection: Connection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n")
    await hang(connection)


@pytest.mark.parametrize(
    "behave",
    [
        flood,
        promise_too_much,
        sending_and_closing(ENDLESS + b"0" * (MAXIMUM_ANSWER + 1)),
    ],
    ids=["chunks", "content-length", "until closed"],
)
async def test_an_answer_over_the_limit_is_oversize_and_its_connection_closed(
    transport: Transport, behave: Callable[[Connection], Awaitable[None]]
) -> None:
    async with raw_buyer(answering(behave)) as buyer:
        answer = await ask(transport, a_request(buyer))
        await eventually(lambda: buyer.gone == 1)

    assert answer == TransportFault(FaultKind.OVERSIZE, "answer over 65536 bytes", 200)


@pytest.mark.parametrize("size", [MAXIMUM_ANSWER + 1, 50_000_000])
async def test_the_limit_holds_for_what_an_answer_unpacks_to(
    transport: Transport, size: int
) -> None:
    async with raw_buyer(answering(sending(gzipped(b"0" * size)))) as buyer:
        answer = await ask(transport, a_request(buyer))

    assert answer == TransportFault(FaultKind.OVERSIZE, "answer over 65536 bytes", 200)


@pytest.mark.parametrize(
    ("behave", "status"),
    [
        (reset, None),
        (sending_and_closing(b""), None),
        (sending_and_closing(b"HTTP/1.1 200 O"), None),
        (sending_and_closing(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}"), 200),
        (sending_and_closing(CHUNKED + b"5\r\nhel"), 200),
    ],
    ids=["reset", "closed", "head cut", "body cut", "chunk cut"],
)
async def test_a_connection_that_breaks_is_broken(
    transport: Transport, behave: Callable[[Connection], Awaitable[None]], status: int | None
) -> None:
    async with raw_buyer(answering(behave)) as buyer:
        answer = await ask(transport, a_request(buyer))

    assert isinstance(answer, TransportFault)
    assert (answer.kind, answer.status) == (FaultKind.BROKEN, status)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", None),
        (b"\x00\xff\x16\x03garbage\r\n\r\n", None),
        (b"HTTP/1.1 abc OK\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 10_000 + b"\r\n", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n", None),
        (CHUNKED + b"zz\r\nhello\r\n", 200),
    ],
    ids=[
        "banner",
        "bytes",
        "status",
        "long header",
        "many headers",
        "length",
        "chunk",
    ],
)
async def test_what_is_not_http_is_malformed(
    transport: Transport, data: bytes, status: int | None
) -> None:
    async with raw_buyer(answering(sending(data))) as buyer:
        answer = await ask(transport, a_request(buyer))
        await eventually(lambda: buyer.gone == 1)

    assert isinstance(answer, TransportFault)
    assert answer.kind is FaultKind.MALFORMED
    assert answer.status in {status, None}


@pytest.mark.parametrize(
    "data",
    [
        GZIP % 5 + b"hello",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
async def test_an_encoding_that_can_not_be_read_is_malformed(
    transport: Transport, data: bytes
) -> None:
    async with raw_buyer(answering(sending(data))) as buyer:
        answer = await ask(transport, a_request(buyer))

    assert answer == TransportFault(FaultKind.MALFORMED, "content encoding can't be read", 200)


async def drip(connection: Connection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
    while True:
        await connection.send(b" ")
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("behave", [hang, drip])
async def test_a_cancelled_request_closes_its_connection_which_is_never_used_again(
    transport: Transport, behave: Callable[[Connection], Awaitable[None]]
) -> None:
    async with raw_buyer(answering(behave, OK)) as buyer:
        request = transport.request(a_request(buyer), unread)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await request
        await eventually(lambda: buyer.gone == 1)
        assert await ask(transport, a_request(buyer)) == RawAnswer(200, b"{}")

    assert request.cancelled()
    assert buyer.connections == 2


async def test_a_request_cancelled_at_once_leaves_nothing_behind(transport: Transport) -> None:
    async with raw_buyer(answering(OK)) as buyer:
        requests = [transport.request(a_request(buyer), unread) for _ in range(20)]
        for request in requests:
            request.cancel()
        await asyncio.gather(*requests, return_exceptions=True)
        assert await ask(transport, a_request(buyer)) == RawAnswer(200, b"{}")


async def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next(
    transport: Transport,
) -> None:
    stale = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstale"
    sent = asyncio.Event()

    async def answer_twice(connection: Connection) -> None:
        await OK(connection)
        await asyncio.sleep(0.02)
        await connection.send(stale)
        sent.set()

    async with raw_buyer(answering(answer_twice, OK)) as buyer:
        await ask(transport, a_request(buyer))
        await sent.wait()
        await asyncio.sleep(0.02)
        answer = await ask(transport, a_request(buyer))

    assert answer != RawAnswer(200, b"stale")


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
async def test_a_request_is_never_sent_twice(transport: Transport, method: str) -> None:
    body = None if method == "GET" else b"{}"
    async with raw_buyer(answering(OK, reset)) as buyer:
        await ask(transport, a_request(buyer, method, body))
        answer = await ask(transport, a_request(buyer, method, body))

    assert isinstance(answer, TransportFault)
    assert answer.kind is FaultKind.BROKEN
    assert len(buyer.requests) == 2


def an_unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_a_connection_that_is_refused_is_unreachable(transport: Transport) -> None:
    origin = Origin("http", "127.0.0.1", an_unused_port())
    answer = await ask(transport, PreparedRequest(origin, "POST", "/", HEADERS, body=b""))

    assert answer == TransportFault(FaultKind.UNREACHABLE, "connection refused")
    assert answer.never_sent


@pytest.mark.parametrize("host", ["gone.example", "a..b", "a" * 64 + ".example"])
async def test_a_name_that_does_not_resolve_is_unreachable(
    transport: Transport, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def resolve(name: str, *rest: Any, **options: Any) -> Any:
        if name == "gone.example":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(name, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    origin = Origin("http", host, 80)
    answer = await ask(transport, PreparedRequest(origin, "POST", "/", HEADERS, body=b""))

    assert answer == TransportFault(FaultKind.UNREACHABLE, "host name does not resolve")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1"])
async def test_an_address_that_is_not_allowed_is_not_connected_to(opening: Open, host: str) -> None:
    async with opening(OutboundRule()) as transport, raw_buyer(answering(OK)) as buyer:
        origin = replace(buyer.origin, host=host)
        answer = await ask(transport, a_request(buyer)._replace(origin=origin))

    assert isinstance(answer, TransportFault)
    assert answer.never_sent
    if host in {"127.0.0.1", "localhost"}:
        assert answer.kind is FaultKind.FORBIDDEN
        assert answer.detail == "address is not public and not in OUTBOUND_ALLOW"
    assert buyer.connections == 0


async def test_a_public_name_that_resolves_to_loopback_is_not_connected_to(
    opening: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opening(OutboundRule()) as transport, raw_buyer(answering(OK)) as buyer:
        address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", buyer.origin.port))

        def resolve(*_: object, **__: object) -> list[object]:
            return [address, address]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        origin = replace(buyer.origin, host="buyer.example")
        answer = await ask(transport, a_request(buyer)._replace(origin=origin))

    assert isinstance(answer, TransportFault)
    assert answer.kind is FaultKind.FORBIDDEN
    assert buyer.connections == 0


async def test_an_own_limit_is_not_the_buyers_fault(opening: Open) -> None:
    async with opening(per_origin=1) as transport, raw_buyer(answering(hang, OK)) as buyer:
        first = transport.request(a_request(buyer), unread)
        await eventually(lambda: buyer.requests)
        second = await ask(transport, a_request(buyer))
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        third = await ask(transport, a_request(buyer))

    assert isinstance(second, TransportFault)
    assert second.kind is FaultKind.OWN_LIMIT
    assert second.never_sent
    assert third == RawAnswer(200, b"{}")


class Exhausted(OutboundRule):
    """A machine that is out of file descriptors."""

    def open_socket(self, info: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")


async def test_running_out_of_sockets_is_not_the_buyers_fault(opening: Open) -> None:
    async with opening(Exhausted()) as transport, raw_buyer(answering(OK)) as buyer:
        answer = await ask(transport, a_request(buyer))

    assert answer == TransportFault(FaultKind.OWN_LIMIT, "too many open files")


async def test_opened_is_told_on_new_and_on_kept_connections(transport: Transport) -> None:
    told: list[int] = []
    async with raw_buyer(answering(OK)) as buyer:
        for _ in range(2):
            await transport.request(a_request(buyer), unread, lambda: told.append(1))

    assert told == [1, 1]
    assert buyer.connections == 1


async def test_opened_is_not_told_when_nothing_opens(transport: Transport) -> None:
    told: list[str] = []
    origin = Origin("http", "127.0.0.1", an_unused_port())
    request = PreparedRequest(origin, "POST", "/", HEADERS, body=b"")
    await transport.request(request, unread, lambda: told.append("opened"))

    assert told == []


async def test_closing_closes_kept_connections(opening: Open) -> None:
    async with raw_buyer(answering(OK)) as buyer:
        async with opening() as transport:
            await ask(transport, a_request(buyer))
            assert buyer.gone == 0
        await eventually(lambda: buyer.gone == 1)
