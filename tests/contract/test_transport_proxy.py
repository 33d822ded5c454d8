"""The aiohttp transport through a real proxy: what arrives where, and whose fault what is."""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from unittest.mock import patch

import pytest

from buyers.aiohttp_transport import AiohttpTransport
from buyers.outbound import OutboundRule
from buyers.proxying import Proxy
from buyers.transport import Answer, FaultKind, RawAnswer, Transport, TransportFault
from tests.contract.buying import (
    LOOPBACK,
    OK,
    a_request,
    answering,
    ask,
    hang,
    reset,
    sending,
    sending_and_closing,
    unread,
)
from tests.contract.certificates import a_certificate
from tests.contract.raw_buyer import Connection, RawBuyer, raw_buyer
from tests.contract.relaying import Behaviour, refusing, relay, the_proxy
from tests.contract.test_transport import an_unused_port
from tests.eventually import eventually

CREDENTIALS = "Basic " + b64encode(b"us:opensesame").decode()
TLS_PATHS = pytest.mark.parametrize("scheme", ["http", "https"])


@asynccontextmanager
async def opened(
    proxy: Proxy, rule: OutboundRule = LOOPBACK, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Transport]:
    transport = AiohttpTransport(rule, tls=tls)
    try:
        yield transport.through(proxy)
    finally:
        await transport.close()


@asynccontextmanager
async def a_line(scheme: str, directory: Path) -> AsyncIterator[tuple[RawBuyer, ssl.SSLContext]]:
    """A buyer that answers by ``scheme``, and TLS that trusts it."""
    server, client = a_certificate(directory)
    async with raw_buyer(answering(OK), server if scheme == "https" else None) as buyer:
        yield buyer, client


async def answer_through(
    proxy: Proxy, buyer: RawBuyer, tls: ssl.SSLContext | None = None
) -> Answer:
    async with opened(proxy, tls=tls) as transport:
        return await ask(transport, a_request(buyer))


@TLS_PATHS
async def test_the_proxy_is_told_where_to_and_who_asks_and_the_buyer_is_not_told_who(
    scheme: str, tmp_path: Path
) -> None:
    async with a_line(scheme, tmp_path) as (buyer, tls), raw_buyer(relay) as proxy:
        answer = await answer_through(the_proxy(proxy, CREDENTIALS), buyer, tls)

    assert answer == RawAnswer(200, b"{}")
    [asked], [arrived] = proxy.requests, buyer.requests
    host = f"127.0.0.1:{buyer.origin.port}"
    told = f"CONNECT {host}" if scheme == "https" else f"POST http://{host}/ping?a=%20b"
    assert asked.line == f"{told} HTTP/1.1"
    assert asked.headers["proxy-authorization"] == CREDENTIALS
    assert arrived.line == "POST /ping?a=%20b HTTP/1.1"
    assert arrived.headers["host"] == host
    assert arrived.body == b"{}"
    assert "proxy-authorization" not in arrived.headers


@TLS_PATHS
async def test_a_connection_through_the_proxy_is_kept(scheme: str, tmp_path: Path) -> None:
    async with (
        a_line(scheme, tmp_path) as (buyer, tls),
        raw_buyer(relay) as proxy,
        opened(the_proxy(proxy), tls=tls) as transport,
    ):
        for _ in range(3):
            assert await ask(transport, a_request(buyer)) == RawAnswer(200, b"{}")

    assert proxy.connections == 1


async def test_offers_with_other_credentials_share_no_tunnel(tmp_path: Path) -> None:
    async with a_line("https", tmp_path) as (buyer, tls), raw_buyer(relay) as proxy:
        transport = AiohttpTransport(LOOPBACK, tls=tls)
        for credentials in (CREDENTIALS, "Basic b3RoZXI6c2VjcmV0", None):
            line = transport.through(the_proxy(proxy, credentials))
            assert await ask(line, a_request(buyer)) == RawAnswer(200, b"{}")
        assert await ask(transport, a_request(buyer)) == RawAnswer(200, b"{}")
        await transport.close()

    assert [asked.headers.get("proxy-authorization") for asked in proxy.requests] == [
        CREDENTIALS,
        "Basic b3RoZXI6c2VjcmV0",
        None,
    ]
    assert buyer.connections == 4


async def test_a_certificate_is_verified_through_the_tunnel(tmp_path: Path) -> None:
    async with a_line("https", tmp_path) as (buyer, tls), raw_buyer(relay) as proxy:
        untrusted = await answer_through(the_proxy(proxy), buyer)
        misnamed = replace(buyer, origin=replace(buyer.origin, host="localhost"))
        other_name = await answer_through(the_proxy(proxy), misnamed, tls)

    expected = TransportFault(FaultKind.UNREACHABLE, "certificate not accepted")
    assert untrusted == other_name == expected
    assert buyer.requests == []


@TLS_PATHS
async def test_a_proxy_that_does_not_know_us_is_not_the_buyers_fault(
    scheme: str, tmp_path: Path
) -> None:
    refused = refusing("407 Proxy Authentication Required")
    async with a_line(scheme, tmp_path) as (buyer, tls), raw_buyer(refused) as proxy:
        answer = await answer_through(the_proxy(proxy, CREDENTIALS), buyer, tls)

    assert answer == TransportFault(FaultKind.PROXY, "proxy: it does not accept our credentials")
    assert answer.never_sent
    assert buyer.connections == 0


async def test_a_buyer_that_answers_as_a_proxy_does_is_told_apart(tmp_path: Path) -> None:
    server, tls = a_certificate(tmp_path)
    odd = sending(b"HTTP/1.1 407 Odd\r\nContent-Length: 0\r\n\r\n")
    async with raw_buyer(answering(odd), server) as buyer, raw_buyer(relay) as proxy:
        answer = await answer_through(the_proxy(proxy), buyer, tls)

    assert answer == RawAnswer(407, b"")


@pytest.mark.parametrize(
    ("status", "kind", "detail"),
    [
        ("502 Bad Gateway", FaultKind.UNREACHABLE, "the proxy can't reach the buyer"),
        ("503 Service Unavailable", FaultKind.UNREACHABLE, "the proxy can't reach the buyer"),
        ("504 Gateway Timeout", FaultKind.UNREACHABLE, "the proxy can't reach the buyer"),
        ("403 Forbidden", FaultKind.PROXY, "proxy: refused with HTTP 403"),
        ("200", FaultKind.PROXY, "proxy: connection broke before the buyer was reached"),
    ],
)
async def test_a_tunnel_that_is_refused(
    status: str, kind: FaultKind, detail: str, tmp_path: Path
) -> None:
    async def nonsense(connection: Connection, _proxy: RawBuyer) -> None:
        await connection.request()
        await connection.send(b"nonsense\r\n\r\n")

    behave = nonsense if status == "200" else refusing(status)
    async with a_line("https", tmp_path) as (buyer, tls), raw_buyer(behave) as proxy:
        answer = await answer_through(the_proxy(proxy), buyer, tls)

    assert answer == TransportFault(kind, detail)
    assert answer.never_sent


@TLS_PATHS
async def test_a_proxy_that_nobody_runs_is_not_the_buyers_fault(
    scheme: str, tmp_path: Path
) -> None:
    async with a_line(scheme, tmp_path) as (buyer, tls):
        nobody = Proxy(f"http://127.0.0.1:{an_unused_port()}")
        unnamed = Proxy("http://nobody.invalid:3128")
        refused = await answer_through(nobody, buyer, tls)
        unknown = await answer_through(unnamed, buyer, tls)

    assert refused == TransportFault(FaultKind.PROXY, "proxy: connection refused")
    assert unknown == TransportFault(FaultKind.PROXY, "proxy: host name does not resolve")


async def test_a_proxy_that_dies_before_the_tunnel_is_open_has_sent_nothing(
    tmp_path: Path,
) -> None:
    async with a_line("https", tmp_path) as (buyer, tls), raw_buyer(answering(reset)) as proxy:
        answer = await answer_through(the_proxy(proxy), buyer, tls)

    assert answer == TransportFault(
        FaultKind.PROXY, "proxy: connection broke before the buyer was reached"
    )


async def test_a_proxy_that_dies_later_may_have_passed_the_request_on(tmp_path: Path) -> None:
    half = sending_and_closing(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")
    async with a_line("http", tmp_path) as (buyer, _), raw_buyer(answering(half)) as proxy:
        answer = await answer_through(the_proxy(proxy), buyer)

    assert isinstance(answer, TransportFault)
    assert answer.kind is FaultKind.BROKEN
    assert not answer.never_sent


@TLS_PATHS
async def test_a_slow_proxy_is_given_up_and_its_connection_closed(
    scheme: str, tmp_path: Path
) -> None:
    async with (
        a_line(scheme, tmp_path) as (buyer, tls),
        raw_buyer(answering(hang)) as proxy,
        opened(the_proxy(proxy), tls=tls) as transport,
    ):
        asked = transport.request(a_request(buyer), unread)
        await eventually(lambda: len(proxy.requests) == 1)
        asked.cancel()
        await asyncio.wait([asked])
        await eventually(lambda: proxy.gone == 1)


async def test_the_proxys_address_must_be_allowed_too(tmp_path: Path) -> None:
    async with a_line("http", tmp_path) as (buyer, _), raw_buyer(relay) as proxy:
        rule = OutboundRule([ip_network("127.0.0.1/32")])
        elsewhere = Proxy(f"http://127.0.0.2:{proxy.origin.port}")
        async with opened(elsewhere, rule) as transport:
            answer = await ask(transport, a_request(buyer))

    assert answer == TransportFault(
        FaultKind.FORBIDDEN, "proxy: address is not public and not in OUTBOUND_ALLOW"
    )


@TLS_PATHS
@pytest.mark.parametrize("host", ["127.0.0.2", "internal.example", "[::1]", "2130706434"])
async def test_a_buyer_at_a_forbidden_address_is_not_asked_for(scheme: str, host: str) -> None:
    def resolve(name: str, *_args: object, **_kwargs: object) -> list[tuple[object, ...]]:
        assert name == host.strip("[]")
        private = "::1" if ":" in host else "127.0.0.2"
        found = ["93.184.216.34", private] if host == "internal.example" else [private]
        return [(2, 1, 6, "", (address, 0)) for address in found]

    async with raw_buyer(relay) as proxy:
        rule = OutboundRule([ip_network("127.0.0.1/32")])
        with patch("socket.getaddrinfo", resolve):
            async with opened(the_proxy(proxy), rule) as transport:
                request = a_request(proxy)
                origin = replace(proxy.origin, scheme=scheme, host=host.strip("[]"))
                answer = await ask(transport, request._replace(origin=origin))

    assert answer == TransportFault(
        FaultKind.FORBIDDEN, "address is not public and not in OUTBOUND_ALLOW"
    )
    assert proxy.connections == 0


async def test_a_buyers_name_that_does_not_resolve_here_is_not_asked_for() -> None:
    async with raw_buyer(relay) as proxy, opened(the_proxy(proxy)) as transport:
        origin = replace(proxy.origin, host="nobody.invalid")
        answer = await ask(transport, a_request(proxy)._replace(origin=origin))

    assert answer == TransportFault(FaultKind.UNREACHABLE, "host name does not resolve")
    assert proxy.connections == 0


@pytest.mark.parametrize(("behave", "times"), [(relay, 1), (refusing("403 No"), 0)])
async def test_opened_is_told_when_the_tunnel_stands_and_not_before(
    behave: Behaviour, times: int, tmp_path: Path
) -> None:
    told: list[bool] = []
    async with (
        a_line("https", tmp_path) as (buyer, tls),
        raw_buyer(behave) as proxy,
        opened(the_proxy(proxy), tls=tls) as transport,
    ):
        await transport.request(a_request(buyer), unread, lambda: told.append(True))

    assert len(told) == times


async def test_a_proxys_credentials_show_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    refused = refusing("407 Proxy Authentication Required")
    async with a_line("https", tmp_path) as (buyer, tls), raw_buyer(refused) as proxy:
        known = the_proxy(proxy, CREDENTIALS)
        answer = await answer_through(known, buyer, tls)

    shown = f"{answer!r} {known!r} {caplog.text}"
    assert CREDENTIALS not in shown
    assert CREDENTIALS.removeprefix("Basic ") not in shown
