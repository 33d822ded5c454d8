"""Where an answer ends, however it is cut into pieces, and what may follow on its connection."""

import asyncio
import gzip
import os
import socket
import zlib
from collections.abc import Awaitable, Callable

import pytest

from buyers.transport import Answer, FaultKind, RawAnswer, Transport, TransportFault
from tests.contract.buying import (
    OK,
    a_request,
    answering,
    ask,
    sending,
    sending_and_closing,
    unread,
)
from tests.contract.raw_buyer import Connection, RawBuyer, raw_buyer
from tests.eventually import eventually

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n"


def packed(body: bytes, encoding: bytes) -> bytes:
    return SIZED % len(body) + b"Content-Encoding: %b\r\n\r\n%b" % (encoding, body)


KEPT = {
    "sized": (SIZED % 5 + b"\r\nhello", RawAnswer(200, b"hello")),
    "empty": (SIZED % 0 + b"\r\n", RawAnswer(200, b"")),
    "no reason": (b"HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\n!", RawAnswer(200, b"!")),
    "odd capitals": (b"HTTP/1.1 200 OK\r\ncONTENT-lENGTH:1\r\n\r\n!", RawAnswer(200, b"!")),
    "chunks": (CHUNKED + b"5\r\nhello\r\n4\r\n you\r\n0\r\n\r\n", RawAnswer(200, b"hello you")),
    "chunks of one": (CHUNKED + b"1\r\na\r\n" * 300 + b"0\r\n\r\n", RawAnswer(200, b"a" * 300)),
    "chunk extension": (CHUNKED + b'2;a="b"\r\nab\r\n0;c\r\n\r\n', RawAnswer(200, b"ab")),
    "capital chunk": (CHUNKED + b"0A\r\n0123456789\r\n0\r\n\r\n", RawAnswer(200, b"0123456789")),
    "no chunk": (CHUNKED + b"0\r\n\r\n", RawAnswer(200, b"")),
    "trailer": (CHUNKED + b"1\r\n!\r\n0\r\nRetry-After: 9\r\n\r\n", RawAnswer(200, b"!")),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", RawAnswer(204, b"")),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\n\r\n", RawAnswer(304, b"")),
    "continue": (b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + SIZED % 1 + b"\r\n!", RawAnswer(200, b"!")),
    "early hints": (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nRetry-After: 5\r\n\r\n" + SIZED % 1 + b"\r\n!",
        RawAnswer(200, b"!"),
    ),
    "retry after": (
        b"HTTP/1.1 429 Slow Down\r\nRetry-After:  30 \r\nContent-Length: 2\r\n\r\n{}",
        RawAnswer(429, b"{}", "30"),
    ),
    "kept 1.0": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n!",
        RawAnswer(200, b"!"),
    ),
    "gzip": (packed(gzip.compress(b"hello", mtime=0), b"GZIP"), RawAnswer(200, b"hello")),
    "deflate": (packed(zlib.compress(b"hello"), b"deflate"), RawAnswer(200, b"hello")),
    "identity": (packed(b"hello", b"identity"), RawAnswer(200, b"hello")),
    "not latin": (SIZED % 1 + b"X-Name: \xc3\xbc\xff\r\n\r\n!", RawAnswer(200, b"!")),
}
CLOSED = {
    "close": (SIZED % 1 + b"Connection: close\r\n\r\n!", RawAnswer(200, b"!")),
    "1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n!", RawAnswer(200, b"!")),
    "until closed": (b"HTTP/1.1 200 OK\r\n\r\nhello", RawAnswer(200, b"hello")),
    "nothing until closed": (b"HTTP/1.1 200 OK\r\n\r\n", RawAnswer(200, b"")),
}


async def by_pieces(connection: Connection, data: bytes, size: int) -> None:
    for start in range(0, len(data), size):
        await connection.send(data[start : start + size])
        # Lets the pieces arrive one by one.
        await asyncio.sleep(0)


def in_pieces(data: bytes, size: int) -> Callable[[Connection], Awaitable[None]]:
    async def answer(connection: Connection) -> None:
        await by_pieces(connection, data, size)

    return answer


def in_pieces_and_closing(data: bytes, size: int) -> Callable[[Connection], Awaitable[None]]:
    async def answer(connection: Connection) -> None:
        await by_pieces(connection, data, size)
        connection.writer.close()

    return answer


@pytest.mark.parametrize("size", [1, 7, 100_000], ids=["bytes", "pieces", "whole"])
@pytest.mark.parametrize(("data", "answer"), KEPT.values(), ids=KEPT)
async def test_an_answer_that_says_where_it_ends_leaves_its_connection_for_the_next(
    transport: Transport, data: bytes, answer: Answer, size: int
) -> None:
    async with raw_buyer(answering(in_pieces(data, size))) as buyer:
        assert await ask(transport, a_request(buyer)) == answer
        assert await ask(transport, a_request(buyer)) == answer

    assert buyer.connections == 1


@pytest.mark.parametrize("size", [1, 100_000], ids=["bytes", "whole"])
@pytest.mark.parametrize(("data", "answer"), CLOSED.values(), ids=CLOSED)
async def test_an_answer_that_ends_with_its_connection_is_the_last_on_it(
    transport: Transport, data: bytes, answer: Answer, size: int
) -> None:
    async with raw_buyer(answering(in_pieces_and_closing(data, size), OK)) as buyer:
        assert await ask(transport, a_request(buyer)) == answer
        assert await ask(transport, a_request(buyer)) == RawAnswer(200, b"{}")

    assert buyer.connections == 2


@pytest.mark.parametrize("data", [CLOSED["close"][0], CLOSED["1.0"][0]], ids=["close", "1.0"])
async def test_a_connection_that_the_buyer_gives_up_is_closed_by_us(
    transport: Transport, data: bytes
) -> None:
    async with raw_buyer(answering(sending(data))) as buyer:
        await ask(transport, a_request(buyer))
        await eventually(lambda: buyer.gone == 1)


MALFORMED = {
    "length and chunks": SIZED % 2 + b"Transfer-Encoding: chunked\r\n\r\n",
    "two lengths": SIZED % 2 + b"Content-Length: 3\r\n\r\n{}",
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "listed lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\n{}",
    "endless length": b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 40 + b"\r\n\r\n{}",
    "header without colon": b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
    "header with a gap": b"HTTP/1.1 200 OK\r\nX Y: 1\r\nContent-Length: 0\r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "another protocol": b"HTCPCP/1.0 418 Teapot\r\nContent-Length: 0\r\n\r\n",
    "html": b"<html><body>It works</body></html>\r\n",
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
async def test_framing_that_can_not_be_trusted_is_malformed(
    transport: Transport, data: bytes
) -> None:
    async with raw_buyer(answering(sending(data), OK)) as buyer:
        answer = await ask(transport, a_request(buyer))
        assert await ask(transport, a_request(buyer)) == RawAnswer(200, b"{}")

    assert answer == TransportFault(FaultKind.MALFORMED, "answer is not HTTP")
    assert buyer.connections == 2


@pytest.mark.parametrize("head", [b"", b"Connection: upgrade\r\nUpgrade: websocket\r\n"])
async def test_another_protocol_is_not_switched_to(transport: Transport, head: bytes) -> None:
    data = b"HTTP/1.1 101 Switching Protocols\r\n%b\r\n" % head
    async with raw_buyer(answering(sending(data), OK)) as buyer:
        answer = await ask(transport, a_request(buyer))
        assert await ask(transport, a_request(buyer)) == RawAnswer(200, b"{}")

    assert answer == TransportFault(FaultKind.MALFORMED, "answer is not HTTP", 101)


async def test_the_answer_to_a_head_has_no_body(transport: Transport) -> None:
    async with raw_buyer(answering(sending(SIZED % 500 + b"\r\n"))) as buyer:
        answer = await ask(transport, a_request(buyer, "HEAD", None))

    assert answer == RawAnswer(200, b"")


@pytest.mark.parametrize(
    "surplus",
    [SIZED % 5 + b"\r\nstale", b"HTTP/1.1 204 No Content\r\n\r\n"],
    ids=["whole", "empty"],
)
async def test_an_answer_with_a_surplus_is_the_last_on_its_connection(
    transport: Transport, surplus: bytes
) -> None:
    async with raw_buyer(answering(sending(SIZED % 3 + b"\r\none" + surplus), OK)) as buyer:
        assert await ask(transport, a_request(buyer)) == RawAnswer(200, b"one")
        assert await ask(transport, a_request(buyer)) == RawAnswer(200, b"{}")

    assert buyer.connections == 2


async def test_a_longer_body_than_announced_never_reaches_the_next_request(
    transport: Transport,
) -> None:
    async with raw_buyer(answering(sending(SIZED % 3 + b"\r\none and more"), OK)) as buyer:
        first = await ask(transport, a_request(buyer))
        assert await ask(transport, a_request(buyer)) == RawAnswer(200, b"{}")

    assert first in {
        RawAnswer(200, b"one"),
        TransportFault(FaultKind.MALFORMED, "answer is not HTTP"),
    }
    assert buyer.connections == 2


async def test_answers_go_to_the_requests_that_they_answer(transport: Transport) -> None:
    async def echo(connection: Connection, buyer: RawBuyer) -> None:
        while True:
            request = await connection.request()
            await asyncio.sleep(int(request.body) % 3 / 1000)
            await connection.answer(request.body)

    async with raw_buyer(echo) as buyer:
        for _ in range(5):
            tags = [str(number).encode() for number in range(40)]
            asked = [transport.request(a_request(buyer, body=tag), unread) for tag in tags]
            answers = await asyncio.gather(*asked)
            assert answers == [RawAnswer(200, tag) for tag in tags]

    # Of 200 requests, 40 at a time. While one is being opened ahead, a request may open another.
    assert buyer.connections <= 80


async def test_a_late_answer_never_becomes_another_requests(transport: Transport) -> None:
    go_on = asyncio.Event()

    async def late(connection: Connection) -> None:
        await connection.send(SIZED % 4 + b"\r\nla")
        await go_on.wait()
        await connection.send(b"te")

    async with raw_buyer(answering(late, OK)) as buyer:
        asked = transport.request(a_request(buyer), unread)
        await eventually(lambda: buyer.requests)
        asked.cancel()
        following = transport.request(a_request(buyer), unread)
        go_on.set()
        assert await following == RawAnswer(200, b"{}")
        assert await ask(transport, a_request(buyer)) == RawAnswer(200, b"{}")

    assert buyer.connections == 2


def send_at_once(connection: Connection, data: bytes) -> None:
    """Past the event loop, which would write when it comes to it; nothing is the end."""
    number = os.dup(connection.writer.get_extra_info("socket").fileno())
    with socket.socket(fileno=number) as same:
        if data:
            same.send(data)
        else:
            same.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("left", [SIZED % 5 + b"\r\nstale", b""], ids=["answer", "end"])
async def test_what_came_before_the_event_loop_could_see_it_is_never_taken_for_an_answer(
    transport: Transport, left: bytes
) -> None:
    connections: list[Connection] = []

    async def answer(connection: Connection) -> None:
        connections.append(connection)
        await OK(connection)

    async with raw_buyer(answering(answer)) as buyer:
        await ask(transport, a_request(buyer))
        await asyncio.sleep(0.01)
        send_at_once(connections[0], left)
        assert await ask(transport, a_request(buyer)) == RawAnswer(200, b"{}")

    assert buyer.connections == 2


async def test_a_large_request_arrives_whole(transport: Transport) -> None:
    body = bytes(range(256)) * 4_000
    async with raw_buyer(answering(OK)) as buyer:
        assert await ask(transport, a_request(buyer, body=body)) == RawAnswer(200, b"{}")

    assert buyer.requests[0].body == body


@pytest.mark.parametrize("value", ["a\r\nX-Other: b", "a\nX-Other: b", "a\rb"])
async def test_a_header_that_would_add_a_line_is_not_sent(transport: Transport, value: str) -> None:
    async with raw_buyer(answering(OK)) as buyer:
        request = a_request(buyer)._replace(headers=(("X-Mine", value),))
        answer = await ask(transport, request)

    assert isinstance(answer, TransportFault)
    assert answer.kind is FaultKind.CRASHED
    assert buyer.requests == []


async def test_a_connection_that_ends_between_requests_is_replaced(transport: Transport) -> None:
    async with raw_buyer(answering(sending_and_closing(SIZED % 2 + b"\r\n{}"))) as buyer:
        for _ in range(3):
            assert await ask(transport, a_request(buyer)) == RawAnswer(200, b"{}")
            await eventually(lambda: buyer.gone == buyer.connections)

    assert buyer.connections == 3
