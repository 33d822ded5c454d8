"""Several sites on one socket: who takes which connection, and how one goes without losing any."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest_asyncio
from aiohttp import web

from auction.web.drain import Drain
from auction.web.edge import edge
from auction.web.runner import ProblemRunner
from auction.web.sharing import SharedSite
from auction.workers.board import Board, Place
from auction.workers.sockets import bound
from tests.eventually import eventually

REQUEST = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Shared:
    """A socket, and the board of those that take connections from it."""

    listener: socket.socket
    board: Board
    stack: AsyncExitStack
    drains: list[Drain] = field(default_factory=list)

    def place(self) -> Place:
        return Place(self.board.fd, self.board.give())

    async def site(self) -> ProblemRunner:
        drain = Drain()
        self.drains.append(drain)
        application = web.Application(middlewares=[edge(drain)])
        application.router.add_get("/", _hello)
        runner = ProblemRunner(application)
        await runner.setup()
        self.stack.push_async_callback(runner.cleanup)
        await SharedSite(runner, self.listener.dup(), self.place()).start()
        return runner

    @asynccontextmanager
    async def connections(self, count: int) -> AsyncIterator[list[Connection]]:
        address = self.listener.getsockname()
        opened = await asyncio.gather(*(asyncio.open_connection(*address) for _ in range(count)))
        try:
            yield opened
        finally:
            for _, writer in opened:
                writer.close()


async def _hello(_: web.Request) -> web.Response:
    return web.Response(text="hello")


async def ask(connection: Connection) -> bytes:
    reader, writer = connection
    writer.write(REQUEST)
    async with asyncio.timeout(5.0):
        answer = await reader.readuntil(b"hello")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    return answer


def connections_of(*runners: ProblemRunner) -> list[int]:
    return [len(runner.server.connections) if runner.server else 0 for runner in runners]


@pytest_asyncio.fixture
async def shared() -> AsyncIterator[Shared]:
    async with AsyncExitStack() as stack:
        (listener,) = stack.enter_context(bound("127.0.0.1", 0))
        board = Board(4)
        stack.callback(board.close)
        yield Shared(listener, board, stack)


async def test_connections_that_come_at_once_are_divided(shared: Shared) -> None:
    one, two = await shared.site(), await shared.site()
    async with shared.connections(16) as opened:
        await asyncio.gather(*map(ask, opened))
        assert connections_of(one, two) == [8, 8]


async def test_who_has_let_go_of_most_takes_the_next(shared: Shared) -> None:
    one, two = await shared.site(), await shared.site()
    async with shared.connections(8) as opened:
        await asyncio.gather(*map(ask, opened))
        for handler in one.server.connections if one.server else ():
            assert handler.transport is not None
            handler.transport.close()
        await eventually(lambda: connections_of(one, two) == [0, 4])
        async with shared.connections(3) as later:
            await asyncio.gather(*map(ask, later))
            assert connections_of(one, two) == [3, 4]


async def test_a_process_that_is_stuck_is_given_way_to_but_not_waited_for(shared: Shared) -> None:
    shared.place().enter()
    site = await shared.site()
    async with shared.connections(5) as opened:
        await asyncio.gather(*map(ask, opened))
        assert connections_of(site) == [5]


async def test_one_that_leaves_answers_what_it_has_taken_and_the_others_take_the_rest(
    shared: Shared,
) -> None:
    one, two = await shared.site(), await shared.site()
    async with shared.connections(4) as opened:
        await asyncio.gather(*map(ask, opened))
        (site,) = one.sites
        shared.drains[0].let_go()
        await site.stop()
        going = asyncio.create_task(one.wait_unconnected(5.0))
        async with shared.connections(4) as later:
            await asyncio.gather(*map(ask, later))
            assert connections_of(one, two) == [2, 6]
            third = shared.place()
            third.enter()
            for _ in range(3):
                third.opened()
            assert not third.is_ahead(), "it need not give way to one that leaves"
        assert not going.done()
        answers = await asyncio.gather(*map(ask, opened))
        assert sum(b"Connection: close" in answer for answer in answers) == 2
        assert await going


async def test_what_was_taken_and_is_not_served_yet_is_waited_for(shared: Shared) -> None:
    site = await shared.site()
    site.arriving = 1
    assert not await site.wait_unconnected(0.06)
    site.arriving = 0
    assert await site.wait_unconnected(0.06)


async def test_a_kept_connection_does_not_hold_up_one_that_is_to_be_gone(shared: Shared) -> None:
    site = await shared.site()
    async with shared.connections(1) as opened:
        await ask(opened[0])
        assert not await site.wait_unconnected(0.06)


async def test_a_place_that_was_cleared_counts_for_nobody(shared: Shared) -> None:
    board = shared.board
    number = board.give()
    dead, alive = Place(board.fd, number), shared.place()
    for place in (dead, alive):
        place.enter()
    alive.opened()
    assert alive.is_ahead()
    assert not dead.is_ahead()
    board.clear(number)
    assert not alive.is_ahead()
    assert board.give() == number


async def test_one_that_has_left_is_no_measure_whatever_it_still_closes(shared: Shared) -> None:
    leaving, other = shared.place(), shared.place()
    for place in (leaving, other):
        place.enter()
        place.opened()
        place.opened()
    leaving.leave()
    leaving.closed()
    assert not other.is_ahead()
