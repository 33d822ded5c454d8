"""The load generator's connections: every answer goes to the request that it is for."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from benchmarks.load.connections import BROKEN, Connections
from benchmarks.stack.parts import free_port
from tests.eventually import eventually

Answer = tuple[int, bytes]


@asynccontextmanager
async def a_server(answer: Callable[[bytes], bytes]) -> AsyncIterator[tuple[int, list[int]]]:
    """Answers every line with what ``answer`` makes of it; the port, and a mark per connection."""
    connected: list[int] = []
    ended: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.append(1)
        with suppress(ConnectionError):
            while line := await reader.readline():
                writer.write(answer(line.strip()))
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        ended.append(1)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], connected
        await eventually(lambda: len(ended) == len(connected))


def ok(content: bytes, more: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (more, len(content), content)


async def send_all(connections: Connections, requests: list[bytes]) -> dict[bytes, Answer]:
    answers: dict[bytes, Answer] = {}

    def keep(request: bytes) -> Callable[[int, bytes], None]:
        def answered(status: int, body: bytes) -> None:
            answers[request] = (status, body)

        return answered

    for request in requests:
        connections.send(request + b"\n", keep(request))
    await eventually(lambda: len(answers) == len(requests))
    return answers


async def test_requests_that_wait_for_a_connection_get_their_own_answers() -> None:
    async with a_server(ok) as (port, connected):
        connections = Connections(port, limit=2)
        requests = [b"request %d" % number for number in range(20)]
        answers = await send_all(connections, requests)
        connections.close()
    assert answers == {request: (200, request) for request in requests}
    assert len(connected) == 2


async def test_connections_are_kept_and_used_again() -> None:
    async with a_server(ok) as (port, connected):
        connections = Connections(port, limit=10)
        for number in range(3):
            await send_all(connections, [b"request %d" % number])
        connections.close()
    assert len(connected) == 1


async def test_a_connection_that_the_server_closes_is_replaced() -> None:
    async with a_server(lambda line: ok(line, b"Connection: close\r\n")) as (port, connected):
        connections = Connections(port, limit=10)
        for number in range(3):
            answers = await send_all(connections, [b"request %d" % number])
            assert list(answers.values()) == [(200, b"request %d" % number)]
        connections.close()
    assert len(connected) == 3


async def test_what_is_no_http_is_a_broken_request() -> None:
    async with a_server(lambda _: b"garbage\r\n\r\n") as (port, _):
        connections = Connections(port, limit=1)
        answers = await send_all(connections, [b"a", b"b"])
        connections.close()
    assert set(answers.values()) == {(BROKEN, b"")}


async def test_where_nobody_listens_every_request_is_broken() -> None:
    connections = Connections(free_port(), limit=1)
    answers = await send_all(connections, [b"a", b"b"])
    assert set(answers.values()) == {(BROKEN, b"")}
