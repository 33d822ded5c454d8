"""The connections to one origin: who gets which, how many there are, and what is sent again."""

import asyncio
import errno
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from buyers.native_answer import KNOWN_HEADS
from buyers.native_pool import OriginPool
from buyers.transport import FaultKind, RawAnswer, TransportFault
from tests.unit.buyers.native_fakes import OK, Bench, settle, wire_of
from tests.virtual_time import run_virtually

ANSWERED = RawAnswer(200, b"{}")
BROKEN = TransportFault(FaultKind.BROKEN, "connection broke before the whole answer came")


def at_a_bench(scenario: Callable[[Bench], Awaitable[None]], **limits: Any) -> None:
    """Play a scenario on virtual time."""

    async def play() -> None:
        bench = Bench(**limits)
        try:
            await scenario(bench)
        finally:
            bench.close()
            await settle()

    run_virtually(play())


def test_a_connection_that_has_answered_carries_the_next_request() -> None:
    async def scenario(bench: Bench) -> None:
        for number in range(3):
            exchange = await bench.sent(str(number))
            wire_of(exchange).answer()
            assert await exchange == ANSWERED
        assert bench.wires[0].sent == [b"ping 0", b"ping 1", b"ping 2"]
        assert repr(bench.pool) == "<OriginPool 1 idle, 0 busy, 0 waiting, 0 dialling>"

    at_a_bench(scenario)


def test_requests_beyond_the_limit_are_refused_at_once() -> None:
    async def scenario(bench: Bench) -> None:
        first = await bench.sent()
        refused = await bench.sent()
        assert refused.result() == TransportFault(FaultKind.OWN_LIMIT, "1 requests in flight")
        wire_of(first).answer()
        wire_of(await bench.sent()).answer()

    at_a_bench(scenario, in_flight=1)


def test_a_burst_opens_few_connections_at_a_time_and_everyone_is_answered() -> None:
    async def scenario(bench: Bench) -> None:
        exchanges = [bench.send(str(number)) for number in range(50)]
        while not all(exchange.done() for exchange in exchanges):
            await settle()
            for exchange in exchanges:
                if exchange.connection is not None and not exchange.done():
                    wire_of(exchange).answer()
        assert {exchange.result() for exchange in exchanges} == {ANSWERED}
        assert bench.phone.most == 4

    at_a_bench(scenario, dials=4)


def test_a_burst_against_a_silent_buyer_piles_up_no_sockets() -> None:
    async def scenario(bench: Bench) -> None:
        bench.phone.hold = asyncio.Event()
        for _ in range(20):
            exchanges = [bench.send() for _ in range(50)]
            await settle()
            for exchange in exchanges:
                exchange.cancel()
        assert bench.phone.dials == bench.phone.most == 4
        assert repr(bench.pool) == "<OriginPool 0 idle, 0 busy, 0 waiting, 4 dialling>"
        bench.phone.hold.set()
        await settle()
        assert repr(bench.pool) == "<OriginPool 4 idle, 0 busy, 0 waiting, 0 dialling>"

    at_a_bench(scenario, dials=4)


def test_a_connection_that_does_not_open_fails_one_request_and_the_next_is_tried() -> None:
    async def scenario(bench: Bench) -> None:
        bench.phone.error = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
        exchanges = [bench.send(str(number)) for number in range(10)]
        await asyncio.gather(*exchanges)
        refused = TransportFault(FaultKind.UNREACHABLE, "connection refused")
        assert {exchange.result() for exchange in exchanges} == {refused}
        assert bench.phone.dials == 10

    at_a_bench(scenario, dials=3)


def test_a_freed_connection_goes_to_who_waits_longest() -> None:
    async def scenario(bench: Bench) -> None:
        busy = await bench.sent("busy")
        bench.phone.hold = asyncio.Event()
        first, second = await bench.sent("first"), await bench.sent("second")
        wire_of(busy).answer()
        assert bench.wires[0].sent[-1] == b"ping first"
        wire_of(first).answer()
        assert bench.wires[0].sent[-1] == b"ping second"
        wire_of(second).answer()

    at_a_bench(scenario)


def test_a_connection_on_which_more_has_come_is_not_handed_on() -> None:
    async def scenario(bench: Bench) -> None:
        busy = await bench.sent("busy")
        bench.phone.hold = asyncio.Event()
        waiting = await bench.sent("waiting")
        wire_of(busy).arrive(OK)
        wire_of(busy).answer()
        assert await busy == ANSWERED
        assert waiting.connection is None
        bench.phone.hold.set()
        await settle()
        assert [wire.sent for wire in bench.wires] == [[b"ping busy"], [b"ping waiting"]]

    at_a_bench(scenario)


def test_a_reset_is_not_the_end_of_an_answer_that_only_the_end_finishes() -> None:
    async def scenario(bench: Bench) -> None:
        exchange = await bench.sent()
        wire_of(exchange).answer(b"HTTP/1.1 200 OK\r\n\r\nbid=5")
        wire_of(exchange).reset()
        assert await exchange == TransportFault(FaultKind.BROKEN, BROKEN.detail, 200)

    at_a_bench(scenario)


def test_a_post_goes_where_its_ping_was_answered() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.idle("a", "b", "c")
        await bench.sent("a", post=True)
        assert bench.wires[0].sent == [b"ping a", b"post a"]

    at_a_bench(scenario)


def test_a_post_goes_to_the_last_used_connection_when_its_pings_is_taken() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.idle("a", "b", "c")
        await bench.sent("a", post=True)
        await bench.sent("a", post=True)
        assert bench.wires[2].sent == [b"ping c", b"post a"]

    at_a_bench(scenario)


def test_a_ping_goes_to_the_last_used_connection() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.idle("a", "b")
        await bench.sent("a")
        assert bench.wires[1].sent == [b"ping b", b"ping a"]

    at_a_bench(scenario)


def test_a_ping_on_a_kept_connection_that_breaks_goes_out_once_more_on_a_new_one() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.idle("a", "b")
        exchange = await bench.sent("c")
        wire_of(exchange).reset()
        await settle()
        assert [wire.sent for wire in bench.wires] == [
            [b"ping a"],
            [b"ping b", b"ping c"],
            [b"ping c"],
        ]
        wire_of(exchange).answer()
        assert await exchange == ANSWERED

    at_a_bench(scenario)


def test_a_ping_that_breaks_twice_is_broken() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.idle("a")
        exchange = await bench.sent("b")
        wire_of(exchange).reset()
        await settle()
        wire_of(exchange).reset()
        assert await exchange == BROKEN
        assert len(bench.wires) == 2

    at_a_bench(scenario)


def test_a_ping_that_can_not_be_sent_again_is_broken_since_it_may_have_arrived() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.idle("a")
        exchange = await bench.sent("b")
        bench.phone.error = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
        wire_of(exchange).reset()
        assert await exchange == BROKEN

    at_a_bench(scenario)


def test_a_ping_given_up_while_it_waits_to_be_sent_again_leaves_nothing() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.idle("a")
        exchange = await bench.sent("b")
        bench.phone.hold = asyncio.Event()
        wire_of(exchange).reset()
        exchange.cancel()
        bench.phone.hold.set()
        await settle()
        assert bench.wires[1].sent == []
        assert repr(bench.pool) == "<OriginPool 1 idle, 0 busy, 0 waiting, 0 dialling>"

    at_a_bench(scenario)


def test_a_post_is_never_sent_again() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.idle("a")
        exchange = await bench.sent("a", post=True)
        wire_of(exchange).reset()
        assert await exchange == BROKEN
        await settle()
        assert len(bench.wires) == 1

    at_a_bench(scenario)


@pytest.mark.parametrize("heard", [b"H", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_a_ping_is_not_sent_again_once_anything_was_answered(heard: bytes) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.idle("a")
        exchange = await bench.sent("b")
        wire_of(exchange).answer(heard)
        wire_of(exchange).reset()
        assert await exchange == BROKEN
        assert len(bench.wires) == 1

    at_a_bench(scenario)


def test_a_ping_on_a_new_connection_that_breaks_is_broken() -> None:
    async def scenario(bench: Bench) -> None:
        exchange = await bench.sent()
        wire_of(exchange).reset()
        assert await exchange == BROKEN
        assert bench.phone.dials == 1

    at_a_bench(scenario)


def test_giving_up_closes_the_connection_that_carries_the_request() -> None:
    async def scenario(bench: Bench) -> None:
        exchange = await bench.sent()
        assert exchange.cancel()
        assert not exchange.cancel()
        assert bench.wires[0].aborted
        bench.wires[0].answer()
        assert repr(bench.pool) == "<OriginPool 0 idle, 0 busy, 0 waiting, 0 dialling>"

    at_a_bench(scenario)


def test_what_comes_on_an_idle_connection_closes_it() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.idle("a")
        bench.wires[0].answer(OK)
        assert bench.wires[0].aborted
        assert repr(bench.pool) == "<OriginPool 0 idle, 0 busy, 0 waiting, 0 dialling>"

    at_a_bench(scenario)


def test_a_request_that_was_not_written_whole_is_the_last_on_its_connection() -> None:
    async def scenario(bench: Bench) -> None:
        exchange = await bench.sent()
        wire = wire_of(exchange)
        wire.protocol.pause_writing()
        wire.answer()
        assert await exchange == ANSWERED
        assert wire.aborted

    at_a_bench(scenario)


def test_idle_connections_are_closed_in_time_and_the_pool_is_unused_in_the_end() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.idle("a", "b")
        await asyncio.sleep(20)
        wire_of(await bench.sent("c")).answer()
        await asyncio.sleep(20)
        bench.pool.sweep()
        assert [wire.aborted for wire in bench.wires] == [True, False]
        await asyncio.sleep(20)
        bench.pool.sweep()
        assert bench.wires[1].aborted
        assert not bench.pool.is_unused
        await asyncio.sleep(600)
        assert bench.pool.is_unused

    at_a_bench(scenario, keep_alive_s=30, in_use_s=600)


def test_a_spare_connection_is_opened_while_the_origin_is_in_use() -> None:
    async def scenario(bench: Bench) -> None:
        exchange = await bench.sent()
        wire_of(exchange).answer()
        await bench.sent()
        assert repr(bench.pool) == "<OriginPool 1 idle, 1 busy, 0 waiting, 0 dialling>"
        await asyncio.sleep(50)
        bench.pool.sweep()
        await settle()
        assert repr(bench.pool) == "<OriginPool 1 idle, 1 busy, 0 waiting, 0 dialling>"
        assert bench.phone.dials == 3

    at_a_bench(scenario, spare=1, keep_alive_s=30, in_use_s=100)


def test_no_spare_connection_is_opened_where_the_last_one_failed() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.idle("a")
        bench.phone.error = OSError("down")
        exchange = await bench.sent("b")
        dials = bench.phone.dials
        for _ in range(4):
            bench.pool.sweep()
            await settle()
            await asyncio.sleep(1)
        assert bench.phone.dials == dials
        await asyncio.sleep(1)
        bench.pool.sweep()
        await settle()
        assert bench.phone.dials == dials + 1
        wire_of(exchange).answer()

    at_a_bench(scenario, spare=1, again_s=5)


def test_a_connection_is_opened_ahead_of_every_request_once() -> None:
    async def scenario(bench: Bench) -> None:
        assert bench.pool.open_ahead() is not None
        assert bench.pool.open_ahead() is None
        await settle()
        assert bench.pool.open_ahead() is None
        await bench.sent()
        assert bench.phone.dials == 1
        assert bench.wires[0].sent == [b"ping p"]

    at_a_bench(scenario)


def test_closing_ends_everything_and_nothing_follows() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.idle("idle", "busy")
        busy = await bench.sent("busy")
        bench.phone.hold = asyncio.Event()
        await bench.sent("other")
        waiting = await bench.sent("waiting")
        tasks = bench.pool.close()
        late = bench.send("late")
        await asyncio.gather(*tasks, return_exceptions=True)
        assert busy.result() == BROKEN
        assert waiting.result() == late.result() == TransportFault(FaultKind.OWN_LIMIT, "closed")
        assert all(wire.aborted for wire in bench.wires)
        assert repr(bench.pool) == "<OriginPool 0 idle, 0 busy, 0 waiting, 0 dialling>"

    at_a_bench(scenario)


def test_an_answer_that_only_the_end_would_finish_is_broken_when_we_close() -> None:
    async def scenario(bench: Bench) -> None:
        exchange = await bench.sent()
        wire_of(exchange).answer(b"HTTP/1.1 200 OK\r\n\r\nbid=52")
        bench.pool.close()
        assert (await exchange) == TransportFault(FaultKind.BROKEN, BROKEN.detail, 200)

    at_a_bench(scenario)


def test_a_reader_that_raises_reaches_who_waits() -> None:
    async def scenario(bench: Bench) -> None:
        exchange = await bench.sent()
        exchange._read = _raising
        wire_of(exchange).answer()
        with pytest.raises(KeyError):
            await exchange
        wire_of(await bench.sent()).answer()
        assert isinstance(bench.pool, OriginPool)

    def _raising(_: object) -> Any:
        raise KeyError("bug")

    at_a_bench(scenario)


def test_heads_of_answers_are_known_to_all_connections_and_forgotten_when_there_are_many() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.idle("a", "b")
        known = bench.pool._heads
        assert len(known) == 1
        for second in range(2 * KNOWN_HEADS):
            exchange = await bench.sent()
            wire_of(exchange).answer(OK.replace(b"OK", b"OK at %d" % second))
            assert await exchange == ANSWERED
            if second == 0:
                bench.pool.sweep()
                assert len(known) == 2
        assert len(known) == KNOWN_HEADS
        bench.pool.sweep()
        assert not known

    at_a_bench(scenario)
