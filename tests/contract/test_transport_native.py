"""What the native transport does and the other doesn't."""

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from buyers.native_pool import PoolLimits
from buyers.native_transport import WARMED_AT_ONCE, NativeTransport
from buyers.outbound import OutboundRule
from buyers.transport import Answer, FaultKind, Origin, RawAnswer, Transport, TransportFault
from tests.contract.buying import (
    LOOPBACK,
    OK,
    a_request,
    answering,
    ask,
    hang,
    open_native,
    reset,
    sending,
    sending_and_closing,
)
from tests.contract.certificates import a_certificate
from tests.contract.raw_buyer import Connection, RawBuyer, raw_buyer
from tests.eventually import eventually


@contextmanager
def buyer_in_a_thread(
    behave: Callable[[Connection, RawBuyer], Awaitable[None]], tls: ssl.SSLContext | None
) -> Iterator[RawBuyer]:
    """A buyer whose loop goes on while the test's stands still."""
    found: list[RawBuyer] = []
    ready = threading.Event()
    ends: list[Callable[[], object]] = []

    async def serve() -> None:
        done = asyncio.Event()
        loop = asyncio.get_running_loop()
        async with raw_buyer(behave, tls) as buyer:
            found.append(buyer)
            ends.append(lambda: loop.call_soon_threadsafe(done.set))
            ready.set()
            await done.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(5)
        yield found[0]
    finally:
        for end in ends:
            end()
        thread.join(5)


def await_arrival() -> None:
    """Loopback delivers at once; this is for the other thread's kernel work to be over."""
    time.sleep(0.02)


@pytest.fixture
async def native() -> AsyncIterator[Transport]:
    async with open_native() as opened:
        yield opened


async def test_a_buyer_that_reads_slowly_gets_the_whole_request(native: Transport) -> None:
    body = bytes(range(256)) * 20_000

    async def slow(connection: Connection, buyer: RawBuyer) -> None:
        await asyncio.sleep(0.02)
        buyer.requests.append(await connection.request())
        await connection.answer()
        await hang(connection)

    async with raw_buyer(slow) as buyer:
        assert await ask(native, a_request(buyer, body=body)) == RawAnswer(200, b"{}")

    assert buyer.requests[0].body == body


async def test_an_answer_before_the_whole_request_was_read_is_the_last_on_its_connection(
    native: Transport,
) -> None:
    async def hasty(connection: Connection, buyer: RawBuyer) -> None:
        await connection.reader.readuntil(b"\r\n\r\n")
        await connection.answer(status="413 Too Large")
        await asyncio.sleep(0.02)
        await connection.until_closed()

    async with raw_buyer(hasty) as buyer:
        huge = a_request(buyer, body=b"0" * 30_000_000)
        answer = await ask(native, huge)
        await eventually(lambda: buyer.gone == 1)

    assert answer == RawAnswer(413, b"{}")


async def test_an_answer_followed_by_a_begun_one_is_the_last_on_its_connection(
    native: Transport,
) -> None:
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\noneHTTP/1.1 200"
    async with raw_buyer(answering(sending(data), OK)) as buyer:
        assert await ask(native, a_request(buyer)) == RawAnswer(200, b"one")
        assert await ask(native, a_request(buyer)) == RawAnswer(200, b"{}")

    assert buyer.connections == 2


async def test_no_content_is_no_content_even_with_a_body(native: Transport) -> None:
    data = b"HTTP/1.1 204 No Content\r\nContent-Length: 1\r\n\r\n!"
    async with raw_buyer(answering(sending(data), OK)) as buyer:
        assert await ask(native, a_request(buyer)) == RawAnswer(204, b"")
        assert await ask(native, a_request(buyer)) == RawAnswer(200, b"{}")

    assert buyer.connections == 2


async def test_a_ping_whose_kept_connection_is_reset_is_sent_once_more(native: Transport) -> None:
    async with raw_buyer(answering(OK, reset, OK)) as buyer:
        ping = a_request(buyer)._replace(repeatable=True, ping_id="p1")
        assert await ask(native, ping) == RawAnswer(200, b"{}")
        assert await ask(native, ping) == RawAnswer(200, b"{}")

    assert buyer.connections == 2
    assert len(buyer.requests) == 3
    assert buyer.requests[1] == buyer.requests[2]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_second_connection_takes_up_the_first_ones_tls_session(
    tmp_path: Path, version: ssl.TLSVersion
) -> None:
    server, client = a_certificate(tmp_path)
    server.maximum_version = version
    seen: list[tuple[str, bool]] = []
    whole = sending_and_closing(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}")

    async def answer(connection: Connection) -> None:
        secured = connection.writer.get_extra_info("ssl_object")
        seen.append((secured.version(), secured.session_reused))
        await whole(connection)

    async with raw_buyer(answering(answer), server) as buyer, open_native(tls=client) as native:
        for _ in range(3):
            assert await ask(native, a_request(buyer)) == RawAnswer(200, b"{}")

    name = "TLSv1.3" if version is ssl.TLSVersion.TLSv1_3 else "TLSv1.2"
    assert seen == [(name, False), (name, True), (name, True)]


async def test_a_session_of_another_origin_is_not_taken_up(tmp_path: Path) -> None:
    server, client = a_certificate(tmp_path)
    async with (
        raw_buyer(answering(OK), server) as one,
        raw_buyer(answering(OK), server) as other,
        open_native(tls=client) as native,
    ):
        await ask(native, a_request(one))
        assert isinstance(native, NativeTransport)
        dialler = native._pools[one.origin]._dialler
        assert getattr(dialler, "_tls")._session is not None  # noqa: B009 - not in the port
        await ask(native, a_request(other))

    assert one.connections == other.connections == 1


class Names(AbstractResolver):
    """Every name has these addresses, in this order."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=socket.AF_INET, proto=6, flags=0
            )
            for address in self.addresses
        ]

    async def close(self) -> None:
        pass


async def ask_by_name(buyer: RawBuyer, *addresses: str, rule: OutboundRule = LOOPBACK) -> Answer:
    origin = Origin("http", "buyer.example", buyer.origin.port)
    native = NativeTransport(rule, limits=PoolLimits(spare=0), resolver=Names(*addresses))
    try:
        return await ask(native, a_request(buyer)._replace(origin=origin))
    finally:
        await native.close()


async def test_all_addresses_of_a_name_are_tried() -> None:
    async with raw_buyer(answering(OK)) as buyer:
        answer = await ask_by_name(buyer, "127.0.0.2", "127.0.0.3", "127.0.0.1")

    assert answer == RawAnswer(200, b"{}")
    assert buyer.requests[0].headers["host"] == f"buyer.example:{buyer.origin.port}"


async def test_an_address_that_does_not_answer_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    connect = loop.sock_connect

    async def silent(sock: socket.socket, address: Any) -> None:
        if address[0] == "127.0.0.2":
            await asyncio.Event().wait()
        await connect(sock, address)

    class Loop:
        """The running loop, where one address never answers."""

        sock_connect = staticmethod(silent)

        def __getattr__(self, name: str) -> Any:
            return getattr(loop, name)

    patched = SimpleNamespace(**{**vars(asyncio), "get_running_loop": Loop})
    monkeypatch.setattr("aiohappyeyeballs.impl.asyncio", patched)
    async with raw_buyer(answering(OK)) as buyer:
        answer = await ask_by_name(buyer, "127.0.0.2", "127.0.0.1")

    assert answer == RawAnswer(200, b"{}")


async def test_only_the_addresses_that_are_allowed_are_connected_to() -> None:
    rule = OutboundRule([ip_network("127.0.0.1/32")])
    async with raw_buyer(answering(OK)) as buyer:
        assert await ask_by_name(buyer, "127.0.0.2", "127.0.0.1", rule=rule) == RawAnswer(
            200, b"{}"
        )
        answer = await ask_by_name(buyer, "127.0.0.2", "127.0.0.3", rule=rule)

    assert isinstance(answer, TransportFault)
    assert answer.kind is FaultKind.FORBIDDEN


async def test_the_rule_holds_for_literal_addresses() -> None:
    native = NativeTransport(OutboundRule())
    origin = Origin("http", "::1", 9)
    async with raw_buyer(answering(OK)) as buyer:
        answer = await ask(native, a_request(buyer)._replace(origin=origin))
    await native.close()

    assert isinstance(answer, TransportFault)
    assert answer.kind is FaultKind.FORBIDDEN


async def test_origins_get_a_connection_before_any_request() -> None:
    async with raw_buyer(answering(OK)) as buyer:
        native = NativeTransport(LOOPBACK, limits=PoolLimits(spare=0))
        gone = [Origin("http", "127.0.0.1", 1), Origin("http", "192.0.2.1", 80)]
        native.warm([*gone, buyer.origin, buyer.origin])
        await eventually(lambda: buyer.connections == 1)
        await asyncio.gather(*native._warming)
        assert await ask(native, a_request(buyer)) == RawAnswer(200, b"{}")
        assert buyer.connections == 1
        native.warm([buyer.origin])
        await asyncio.gather(*native._warming)
        await native.close()

    assert buyer.connections == 1


async def _opened_ahead(native: NativeTransport, buyer: RawBuyer) -> None:
    native.warm([buyer.origin])
    await asyncio.gather(*native._warming)
    await eventually(lambda: buyer.connections == 1)


async def test_a_ping_is_sent_once_more_when_the_connection_opened_ahead_is_reset() -> None:
    async with raw_buyer(answering(reset, OK)) as buyer:
        native = NativeTransport(LOOPBACK, limits=PoolLimits(spare=0))
        await _opened_ahead(native, buyer)
        ping = a_request(buyer)._replace(repeatable=True, ping_id="p1")
        assert await ask(native, ping) == RawAnswer(200, b"{}")
        await native.close()

    assert buyer.connections == 2


@pytest.mark.parametrize("secured", [False, True], ids=["plain", "tls"])
async def test_what_came_in_before_a_request_is_not_its_answer(
    tmp_path: Path, *, secured: bool
) -> None:
    server, client = a_certificate(tmp_path) if secured else (None, None)
    old, told = threading.Event(), threading.Event()
    early = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n[old]"

    async def behave(connection: Connection, buyer: RawBuyer) -> None:
        if buyer.connections == 1:
            await asyncio.to_thread(old.wait, 5)
            await connection.send(early)
            told.set()
        buyer.requests.append(await connection.request())
        await connection.answer()

    with buyer_in_a_thread(behave, server) as buyer:
        native = NativeTransport(LOOPBACK, limits=PoolLimits(spare=0), tls=client)
        await _opened_ahead(native, buyer)
        await asyncio.sleep(0.05)
        # From here to the request the loop stands still, so that nothing is read.
        old.set()
        assert told.wait(5)
        await_arrival()
        assert await ask(native, a_request(buyer)) == RawAnswer(200, b"{}")
        await native.close()


async def test_few_connections_are_opened_ahead_at_once() -> None:
    started = asyncio.Event()

    class Slow(Names):
        waiting = 0

        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            self.waiting += 1
            await started.wait()
            raise OSError("no such name")

    names = Slow()
    native = NativeTransport(LOOPBACK, resolver=names)
    origins = [Origin("http", f"buyer-{number}.example", 80) for number in range(1000)]
    native.warm(origins)
    await eventually(lambda: names.waiting == WARMED_AT_ONCE)
    started.set()
    await asyncio.gather(*native._warming)
    await native.close()

    assert names.waiting == 256


async def test_pools_that_are_not_used_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("buyers.native_transport.SWEEP_S", 0.01)
    limits = PoolLimits(keep_alive_s=0.02, in_use_s=0.02, spare=0)
    native = NativeTransport(LOOPBACK, limits=limits)
    async with raw_buyer(answering(OK)) as buyer:
        await ask(native, a_request(buyer))
        await eventually(lambda: buyer.gone == 1)
        await eventually(lambda: not native._pools)
        assert await ask(native, a_request(buyer)) == RawAnswer(200, b"{}")
    await native.close()


async def test_nothing_is_sent_once_it_is_closed() -> None:
    native = NativeTransport(LOOPBACK)
    async with raw_buyer(answering(OK)) as buyer:
        await ask(native, a_request(buyer))
        await native.close()
        for origin in (buyer.origin, Origin("http", "127.0.0.1", 9)):
            answer = await ask(native, a_request(buyer)._replace(origin=origin))
            assert answer == TransportFault(FaultKind.OWN_LIMIT, "closed")

    assert len(buyer.requests) == 1


async def test_a_connection_that_is_still_being_opened_ends_with_the_transport(
    tmp_path: Path,
) -> None:
    _, client = a_certificate(tmp_path)

    async def silent(connection: Connection, _: RawBuyer) -> None:
        await connection.until_closed()

    async with raw_buyer(silent) as buyer:
        native = NativeTransport(LOOPBACK, tls=client)
        origin = Origin("https", "127.0.0.1", buyer.origin.port)
        asked = native.request(a_request(buyer)._replace(origin=origin), lambda answer: answer)
        await eventually(lambda: buyer.connections == 1)
        await native.close()
        answer = await asked
        await eventually(lambda: buyer.gone == 1)

    assert isinstance(answer, TransportFault)
    assert answer.never_sent


async def test_a_target_that_would_add_a_line_is_not_sent(native: Transport) -> None:
    async with raw_buyer(answering(OK)) as buyer:
        request = a_request(buyer)._replace(target="/ HTTP/1.1\r\nX-Other: b")
        answer = await ask(native, request)

    assert isinstance(answer, TransportFault)
    assert answer.kind is FaultKind.CRASHED
    assert buyer.requests == []
