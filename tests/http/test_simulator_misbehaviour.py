"""What simulated buyers do when they misbehave, byte by byte, over real sockets."""

import asyncio
from typing import Any

import aiohttp
import pytest
import uvloop

from buyers.simulator.connection import MAX_PIPELINED
from buyers.simulator.script import parse_script
from buyers.simulator.server import SimulatedBuyers
from tests.eventually import eventually
from tests.http.raw_http import Received, exchange, request_bytes, send


def misbehaving(behaviour: str, **ping: Any) -> SimulatedBuyers:
    buyer = {
        "name": "acme",
        "ping": {"behaviours": {behaviour: 1}, "bid": "52.00", **ping},
        "post": {"behaviours": {behaviour: 1}, **ping},
    }
    return SimulatedBuyers(parse_script({"buyers": [buyer]}))


async def ping(buyers: SimulatedBuyers, *, wait_s: float = 5.0) -> Received:
    return await send(buyers.url("acme") + "/ping", wait_s=wait_s)


async def test_a_hanging_buyer_sends_nothing_and_keeps_the_connection() -> None:
    async with misbehaving("hang") as buyers:
        received = await ping(buyers, wait_s=0.1)

    assert (received.data, received.end) == (b"", "open")


async def test_a_late_answer_comes_whole_after_the_latency_and_the_delay() -> None:
    async with misbehaving("late", latency_ms=20, late_ms=80) as buyers:
        received = await ping(buyers)
        too_soon = await ping(buyers, wait_s=0.05)

    assert b'"accepted":true' in received.body
    assert too_soon.data == b""


async def test_a_dripping_body_trickles_after_a_prompt_head() -> None:
    async with misbehaving("drip", drip_ms=20) as buyers:
        received = await ping(buyers, wait_s=0.15)

    assert received.head.startswith(b"HTTP/1.1 200 OK")
    assert 1 <= len(received.body) <= 8
    assert b'{"accepted":true'.startswith(received.body)


async def test_a_dripping_head_trickles_from_the_first_byte() -> None:
    async with misbehaving("drip_head", drip_ms=20) as buyers:
        received = await ping(buyers, wait_s=0.15)

    assert 1 <= len(received.data) <= 8
    assert b"HTTP/1.1 200".startswith(received.data)


async def test_a_patient_client_gets_all_that_drips() -> None:
    async with misbehaving("drip", drip_ms=0.5) as buyers:
        received = await ping(buyers)

    assert b'"accepted":true' in received.body
    assert len(received.arrivals) > 5


async def test_a_reset_comes_instead_of_an_answer() -> None:
    async with misbehaving("reset") as buyers:
        received = await ping(buyers)

    assert (received.data, received.end) == (b"", "reset")


async def test_a_reset_after_the_headers_leaves_half_a_body() -> None:
    async with misbehaving("reset_after_headers") as buyers:
        received = await ping(buyers)

    assert received.end == "reset"
    assert received.head.startswith(b"HTTP/1.1 200 OK")
    assert received.body.startswith(b'{"accepted":true')
    assert not received.body.endswith(b"}")


async def test_a_closed_connection_says_nothing() -> None:
    async with misbehaving("close") as buyers:
        received = await ping(buyers)

    assert (received.data, received.end) == (b"", "closed")


async def test_a_truncated_body_is_shorter_than_it_promised() -> None:
    async with misbehaving("truncated") as buyers:
        received = await ping(buyers)

    promised = int(received.head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    assert received.end == "closed"
    assert 0 < len(received.body) < promised


async def test_garbage_is_a_proper_response_with_an_unreadable_body() -> None:
    async with misbehaving("garbage") as buyers:
        received = await ping(buyers)

    assert received.status == 200
    assert b"Content-Type: application/json" in received.head
    with pytest.raises(ValueError, match="UTF-8"):
        _ = received.json


async def test_garbage_bytes_are_no_http_at_all() -> None:
    async with misbehaving("garbage_bytes") as buyers:
        received = await ping(buyers)

    assert received.end == "closed"
    assert not received.data.startswith(b"HTTP/")
    assert received.data


async def test_an_empty_answer_has_a_status_and_no_body() -> None:
    async with misbehaving("empty") as buyers:
        received = await ping(buyers)

    assert (received.status, received.body) == (200, b"")


async def test_an_oversize_answer_would_be_a_bid_if_it_were_read() -> None:
    async with misbehaving("oversize", oversize_bytes=300_000) as buyers:
        received = await ping(buyers)

    assert b"Content-Length: 300000" in received.head
    assert len(received.body) == 300_000
    assert received.json["accepted"] is True  # type: ignore[index]  # JSON is an object here


async def test_an_oversize_answer_may_hide_its_size() -> None:
    async with misbehaving("oversize_chunked", oversize_bytes=300_000) as buyers:
        received = await ping(buyers)

    assert b"Content-Length" not in received.head
    assert b"Transfer-Encoding: chunked" in received.head
    assert len(received.body) > 300_000
    assert received.body.endswith(b"0\r\n\r\n")


async def test_a_client_that_does_not_read_is_not_flooded() -> None:
    async with misbehaving("oversize_chunked", oversize_bytes=50_000_000) as buyers:
        url = buyers.url("acme") + "/ping"
        reader, writer = await asyncio.open_connection("127.0.0.1", buyers.port("acme"))
        writer.write(request_bytes(url, b"{}"))
        assert await reader.readexactly(100)
        (connection,) = buyers._ports[0]._connections
        await eventually(lambda: not connection._writable)
        assert len(connection._unsent) > 40_000_000
        writer.transport.abort()
    assert buyers.buyer("acme").counts.abandoned == 1


@pytest.mark.parametrize("status", [200, 302, 400, 404, 408, 429, 500, 503, 599])
async def test_a_status_is_sent_with_a_body_that_would_be_a_bid(status: int) -> None:
    async with misbehaving(f"status_{status}") as buyers:
        received = await ping(buyers)

    assert received.status == status
    assert b'"accepted":true' in received.body
    assert (b"Retry-After: 1" in received.head) == (status in {429, 503})


async def test_a_redirect_leads_to_a_path_that_counts_who_follows() -> None:
    async with misbehaving("redirect") as buyers:
        received = await ping(buyers)
        assert received.status == 302
        assert b"Location: /_redirected" in received.head
        assert buyers.buyer("acme").counts.redirects_followed == 0
        followed = await send(buyers.url("acme") + "/_redirected", method="GET")

    assert b'"accepted": true' in followed.body
    assert buyers.buyer("acme").counts.redirects_followed == 1


async def test_an_abandoned_request_is_counted() -> None:
    async with misbehaving("hang") as buyers:
        await ping(buyers, wait_s=0.05)

    assert buyers.buyer("acme").counts.abandoned == 1


async def test_what_is_no_http_request_is_refused() -> None:
    async with SimulatedBuyers(parse_script({"buyers": [{"name": "acme"}]})) as buyers:
        received = await exchange(buyers.url("acme"), b"\x16\x03\x01 nonsense\r\n\r\n")
        upgrade = {"Connection": "Upgrade", "Upgrade": "h2c"}
        upgraded = await send(buyers.url("acme") + "/ping", b"", upgrade)

    assert (received.status, upgraded.status) == (400, 400)


async def test_a_request_over_the_limit_is_refused_before_it_is_read() -> None:
    script = parse_script({"max_request_bytes": 1000, "buyers": [{"name": "acme"}]})
    async with SimulatedBuyers(script) as buyers:
        received = await send(buyers.url("acme") + "/ping", b"x" * 5_000)
        small = await send(buyers.url("acme") + "/ping", b"x" * 500)

    assert (received.status, small.status) == (413, 200)
    assert buyers.buyer("acme").counts.pings == 1


async def test_a_kept_connection_may_carry_more_than_one_request_may_hold() -> None:
    script = parse_script({"max_request_bytes": 1000, "buyers": [{"name": "acme"}]})
    async with SimulatedBuyers(script) as buyers:
        url = buyers.url("acme") + "/ping"
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as client:
            for _ in range(5):
                async with client.post(url, data=b"x" * 500) as response:
                    assert response.status == 200
        assert buyers._ports[0].counts.connections == 1


async def test_connections_over_the_limit_are_dropped() -> None:
    script = parse_script({"max_connections": 2, "buyers": [{"name": "acme"}]})
    async with SimulatedBuyers(script) as buyers:
        url = buyers.url("acme") + "/ping"
        held = [await asyncio.open_connection("127.0.0.1", buyers.port("acme")) for _ in range(2)]
        turned_away = await send(url)
        for _, writer in held:
            writer.close()
            await writer.wait_closed()
        admitted = await send(url)

    assert turned_away.data == b""
    assert turned_away.end in {"closed", "reset"}
    assert admitted.status == 200


async def test_more_requests_than_may_wait_end_the_connection() -> None:
    async with misbehaving("hang") as buyers:
        url = buyers.url("acme") + "/ping"
        many = request_bytes(url, b"{}") * (MAX_PIPELINED + 2)
        received = await exchange(url, many, until_closed=True)

    assert (received.status, received.end) == (400, "closed")
    assert buyers.buyer("acme").counts.pings <= 1


async def test_stopping_ends_hanging_connections_and_frees_the_port() -> None:
    buyers = misbehaving("hang")
    await buyers.start()
    port = buyers.port("acme")
    hanging = asyncio.create_task(ping(buyers))
    await eventually(lambda: buyers.buyer("acme").counts.pings)
    await asyncio.wait_for(buyers.stop(), 5)
    received = await asyncio.wait_for(hanging, 5)

    assert received.data == b""
    assert received.end in {"closed", "reset"}
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


def test_uvloop_transports_misbehave_alike() -> None:
    async def ends() -> list[str]:
        seen = []
        for behaviour in ("reset", "reset_after_headers", "truncated", "close", "hang"):
            async with misbehaving(behaviour) as buyers:
                received = await ping(buyers, wait_s=0.3)
                seen.append(f"{received.end} {len(received.data) > 0}")
        return seen

    assert uvloop.run(ends()) == [
        "reset False",
        "reset True",
        "closed True",
        "closed False",
        "open False",
    ]
