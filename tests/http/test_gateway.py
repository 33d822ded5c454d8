"""The gateway on real sockets: every kind of buyer, and every way to misbehave."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from auction.domain.bidding import (
    NoBid,
    PingFault,
    PingReply,
    PostAccepted,
    PostNotSent,
    PostRejected,
    PostReply,
    PostUnknown,
    Quote,
)
from auction.domain.call import Caller
from auction.domain.ids import BuyerId, PingId, PostId
from auction.domain.plan import Candidate, RoutedBy
from auction.domain.reasons import Reason
from auction.domain.terms import Destination
from auction.ports import PingOrder, PostOrder
from buyers.aiohttp_transport import AiohttpTransport
from buyers.gateway import HttpBuyerGateway, compile_gateway
from buyers.native_transport import NativeTransport
from buyers.outbound import OutboundRule
from buyers.simulator.script import load_script
from buyers.simulator.server import SimulatedBuyers
from buyers.transport import Transport
from config.marketplace import Marketplace, read_marketplace
from tests.builders import CALLER, a_call, a_campaign, an_offer
from tests.contract.raw_buyer import Connection, RawBuyer, Request, raw_buyer
from tests.contract.relaying import relay
from tests.eventually import eventually
from tests.unit.buyers.samples import a_marketplace

FIXTURES = Path(__file__).parents[1] / "fixtures"
BID = b'{"accepted": true, "bid": "52.00"}'
FIELDS = {"vertical": "auto_insurance", "zip_code": "90210", "email": "jo@example.com"}


@pytest.fixture(params=[AiohttpTransport, NativeTransport], ids=["aiohttp", "native"])
async def transport(request: pytest.FixtureRequest) -> AsyncIterator[Transport]:
    """A transport of each kind that may reach loopback."""
    opened: Transport = request.param(OutboundRule([ip_network("127.0.0.0/8")]))
    yield opened
    await opened.close()


def a_gateway(marketplace: Marketplace, transport: Transport, **environ: str) -> HttpBuyerGateway:
    return compile_gateway(
        marketplace,
        transport=transport,
        environ=environ,
        box=None,
        hash_key_for=lambda offer: b"key of " + offer.encode(),
    )


def a_ping(offer: str = "offer-0", caller: Caller = CALLER, **fields: Any) -> PingOrder:
    terms = an_offer(offer)
    campaign = a_campaign(terms, private_fields=frozenset({"email"}))
    call = a_call(caller=caller, fields={**FIELDS, **fields})
    return PingOrder(call, campaign, terms, PingId("ping-1"), 480)


def a_post(offer: str = "offer-0", timeout_ms: int = 2000, bid_id: str = "b-1") -> PostOrder:
    ping = a_ping(offer)
    candidate = Candidate(
        ping.offer.id,
        BuyerId("acme"),
        RoutedBy.AUCTION,
        Decimal("52.5"),
        Destination("sip:desk@buyer.example"),
        posts=True,
        owners=(),
        units=(1, 1, 1, 0),
        ping_id=PingId("ping-1"),
        post_id=PostId("post-1"),
        bid_id=bid_id,
    )
    return PostOrder(ping.call, ping.campaign, ping.offer, candidate, timeout_ms, timeout_ms)


Behaviour = Callable[[Connection], Awaitable[None]]


def by(behave: Behaviour) -> Callable[[Connection, RawBuyer], Awaitable[None]]:
    """Treats every request of every connection alike."""

    async def serve(connection: Connection, buyer: RawBuyer) -> None:
        while True:
            buyer.requests.append(await connection.request())
            await behave(connection)

    return serve


async def bid(connection: Connection) -> None:
    await connection.answer(BID)


async def hang(connection: Connection) -> None:
    await connection.until_closed()


async def drip(connection: Connection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + BID)
    while True:
        await connection.send(b" ")
        await asyncio.sleep(0.01)


async def reset(connection: Connection) -> None:
    connection.reset()


async def garbage(connection: Connection) -> None:
    await connection.send(b"\x00\x01garbage\r\n\r\n")


async def not_json(connection: Connection) -> None:
    await connection.answer(b"<html>accepted</html>")


async def nan(connection: Connection) -> None:
    await connection.answer(b'{"accepted": true, "bid": NaN}')


async def oversize(connection: Connection) -> None:
    await connection.answer(BID + b" " * 65_536)


async def failure(connection: Connection) -> None:
    await connection.answer(BID, "500 Internal Server Error")


async def redirect(connection: Connection) -> None:
    await connection.answer(BID, "302 Found", "Location: /elsewhere\r\n")


async def no_content(connection: Connection) -> None:
    await connection.send(b"HTTP/1.1 204 No Content\r\n\r\n")


async def refuse_with_price(connection: Connection) -> None:
    await connection.answer(b'{"accepted": false, "bid": "99.00", "reason": "closed"}')


MISBEHAVIOURS = [
    (reset, Reason.ERROR),
    (garbage, Reason.MALFORMED_REPLY),
    (not_json, Reason.MALFORMED_REPLY),
    (nan, Reason.MALFORMED_REPLY),
    (oversize, Reason.OVERSIZE_REPLY),
    (failure, Reason.BAD_STATUS),
    (redirect, Reason.BAD_STATUS),
]


async def ping_of(
    behave: Behaviour, transport: Transport, **keys: Any
) -> tuple[PingReply, Request]:
    async with raw_buyer(by(behave)) as buyer:
        gateway = a_gateway(
            a_marketplace({"url": f"{buyer.origin}/ping", **keys}), transport, TOKEN="s3cret"
        )
        async with asyncio.timeout(10):
            reply = await gateway.ping(a_ping())
        return reply, buyer.requests[0]


async def post_of(behave: Behaviour, transport: Transport, **keys: Any) -> PostReply:
    async with raw_buyer(by(behave)) as buyer:
        market = a_marketplace({}, post={"url": f"{buyer.origin}/post", **keys})
        timeout_ms = 200 if behave in {hang, drip} else 5000
        return await a_gateway(market, transport).post(a_post(timeout_ms=timeout_ms))


@pytest.mark.parametrize(("behave", "reason"), MISBEHAVIOURS)
async def test_every_misbehaviour_in_a_ping_has_its_reason_and_blames_the_buyer(
    transport: Transport, behave: Behaviour, reason: Reason
) -> None:
    reply, _ = await ping_of(behave, transport)

    assert isinstance(reply, PingFault)
    assert reply.reason is reason
    assert reply.blames_buyer


async def test_no_content_and_a_refusal_with_a_price_are_no_bids(
    transport: Transport,
) -> None:
    assert (await ping_of(no_content, transport))[0] == NoBid("HTTP 204")
    assert (await ping_of(refuse_with_price, transport))[0] == NoBid("closed")


@pytest.mark.parametrize("behave", [hang, drip])
async def test_a_ping_that_is_given_up_closes_its_connection(
    transport: Transport, behave: Behaviour
) -> None:
    async with raw_buyer(by(behave)) as buyer:
        gateway = a_gateway(a_marketplace({"url": f"{buyer.origin}/ping"}), transport)
        future = gateway.ping(a_ping())
        done, _ = await asyncio.wait([future], timeout=0.1)
        assert not done
        future.cancel()
        await asyncio.wait([future])
        await eventually(lambda: buyer.gone == 1)

    assert future.cancelled()


async def test_no_buyer_disturbs_anothers_bid(transport: Transport) -> None:
    behaviours = [bid, hang, drip, *(behave for behave, _ in MISBEHAVIOURS), bid]
    buyers = [raw_buyer(by(behave)) for behave in behaviours]
    opened = [await buyer.__aenter__() for buyer in buyers]
    gateway = a_gateway(
        a_marketplace(*({"url": f"{buyer.origin}/ping"} for buyer in opened)), transport
    )
    pings = [gateway.ping(a_ping(f"offer-{index}")) for index in range(len(buyers))]
    slow = pings[1:3]
    await eventually(lambda: all(future.done() for future in pings if future not in slow))
    assert not any(future.done() for future in slow)
    for future in slow:
        future.cancel()
    await asyncio.wait(slow)
    for buyer in buyers:
        await buyer.__aexit__(None, None, None)

    assert pings[0].result() == pings[-1].result() == Quote("52.00")
    reasons = [future.result().reason for future in pings[3:-1]]  # type: ignore[union-attr] # all are faults
    assert reasons == [reason for _, reason in MISBEHAVIOURS]


async def test_an_address_that_is_not_allowed_is_not_asked_and_not_blamed() -> None:
    transport = AiohttpTransport(OutboundRule())
    async with raw_buyer(by(bid)) as buyer:
        market = a_marketplace({"url": f"{buyer.origin}/ping"}, post={"url": f"{buyer.origin}/p"})
        gateway = a_gateway(market, transport)
        reply = await gateway.ping(a_ping())
        posted = await gateway.post(a_post())
    await transport.close()

    told = "address is not public and not in OUTBOUND_ALLOW"
    assert reply == PingFault(Reason.UNREACHABLE, told, blames_buyer=False)
    assert posted == PostNotSent(told, blames_buyer=False)
    assert buyer.connections == 0


async def test_an_offer_behind_a_proxy_is_pinged_and_posted_through_it() -> None:
    transport = AiohttpTransport(OutboundRule([ip_network("127.0.0.0/8")]))
    async with raw_buyer(by(bid)) as buyer, raw_buyer(relay) as proxy:
        place = {"url": str(proxy.origin), "user": "us", "password": {"env": "PROXY_PASSWORD"}}
        url = f"{buyer.origin}/p?a=1"
        market = a_marketplace({"url": url}, post={"url": url}, transport="aiohttp", proxy=place)
        gateway = a_gateway(market, transport, PROXY_PASSWORD="opensesame")
        bidden = await gateway.ping(a_ping())
        posted = await gateway.post(a_post())
    refused = await gateway.ping(a_ping())
    unsold = await gateway.post(a_post(timeout_ms=300))
    await transport.close()

    assert bidden == Quote("52.00")
    assert isinstance(posted, PostAccepted)
    assert [len(proxy.requests), len(buyer.requests)] == [2, 2]
    credentials = "Basic " + base64.b64encode(b"us:opensesame").decode()
    assert all(asked.headers["proxy-authorization"] == credentials for asked in proxy.requests)
    told = "proxy: connection refused"
    assert refused == PingFault(Reason.UNREACHABLE, told, blames_buyer=False)
    assert unsold == PostNotSent(told, blames_buyer=False)


async def test_an_offer_behind_a_proxy_is_never_asked_past_it() -> None:
    transport = NativeTransport(OutboundRule([ip_network("127.0.0.0/8")]))
    async with raw_buyer(by(bid)) as buyer:
        place = {"url": "http://127.0.0.1:9"}
        market = a_marketplace({"url": str(buyer.origin)}, transport="aiohttp", proxy=place)
        reply = await a_gateway(market, transport).ping(a_ping())
    await transport.close()

    told = "its transport knows no proxies"
    assert reply == PingFault(Reason.NOT_ASKED, told, blames_buyer=False)
    assert buyer.connections == 0


async def test_a_buyer_that_does_not_listen_is_unreachable(transport: Transport) -> None:
    async with raw_buyer(by(bid)) as buyer:
        url = str(buyer.origin)
    gateway = a_gateway(a_marketplace({"url": url}, post={"url": url}), transport)

    assert await gateway.ping(a_ping()) == PingFault(Reason.UNREACHABLE, "connection refused")
    assert await gateway.post(a_post(timeout_ms=500)) == PostNotSent("connection refused")


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        ({"type": "bearer", "token": {"env": "TOKEN"}}, "authorization", "Bearer s3cret"),
        ({"type": "api_key", "key": {"env": "TOKEN"}}, "x-api-key", "s3cret"),
        (
            {"type": "basic", "user": "pp", "password": {"env": "TOKEN"}},
            "authorization",
            "Basic " + base64.b64encode(b"pp:s3cret").decode(),
        ),
    ],
)
async def test_the_buyer_sees_who_asks(
    transport: Transport, auth: object, header: str, value: str
) -> None:
    _, seen = await ping_of(bid, transport, auth=auth)

    assert seen.headers[header] == value


async def test_the_buyer_can_check_the_signature(transport: Transport) -> None:
    _, seen = await ping_of(bid, transport, auth={"type": "hmac", "secret": {"env": "TOKEN"}})

    message = seen.headers["x-timestamp"].encode() + b"." + seen.body
    expected = hmac.new(b"s3cret", message, hashlib.sha256).hexdigest()
    assert seen.headers["x-signature"] == f"sha256={expected}"


async def test_secrets_in_headers_and_query_are_sent_as_they_are(transport: Transport) -> None:
    _, seen = await ping_of(
        bid,
        transport,
        headers={"X-Partner": {"env": "TOKEN"}, "Cookie": "id=1"},
        query={"zip": "{{ fields.zip_code }}", "site": {"secret": "{{ call_id }} & co"}},
    )

    assert seen.line == "POST /ping?zip=90210&site=%7B%7B%20call_id%20%7D%7D%20%26%20co HTTP/1.1"
    assert seen.headers["x-partner"] == "s3cret"
    assert seen.headers["cookie"] == "id=1"


async def test_an_offer_whose_header_has_no_value_is_not_asked(transport: Transport) -> None:
    headers = {"X-Partner": {"env": "NOWHERE"}}
    gateway = a_gateway(
        a_marketplace({"url": "http://127.0.0.1:9/", "headers": headers}), transport
    )

    reply = await gateway.ping(a_ping())

    assert isinstance(reply, PingFault)
    assert "NOWHERE is not set" in str(reply.detail)


async def test_a_key_in_the_query_goes_with_the_other_values(transport: Transport) -> None:
    _, seen = await ping_of(
        bid,
        transport,
        method="GET",
        auth={"type": "api_key", "in": "query", "name": "key", "key": {"env": "TOKEN"}},
        query={"zip": "{{ fields.zip_code }}", "cid": "{{ caller_id }}"},
        caller_id="plain",
    )

    assert seen.line == "GET /ping?key=s3cret&zip=90210&cid=%2B13105551234 HTTP/1.1"
    assert seen.body == b""


async def test_no_value_of_a_call_adds_a_header_or_a_request(transport: Transport) -> None:
    evil = "1\r\nX-Evil: 1\r\n\r\nPOST /evil HTTP/1.1\r\nHost: evil\r\n\r\n"
    async with raw_buyer(by(bid)) as buyer:
        keys = {
            "url": f"{buyer.origin}/ping",
            "headers": {"X-Zip": "zip {{ fields.zip_code }}"},
            "query": {"zip": "{{ fields.zip_code }}"},
            "format": "form",
            "body": {"zip": "{{ fields.zip_code }}"},
        }
        gateway = a_gateway(a_marketplace(keys), transport)
        assert await gateway.ping(a_ping(zip_code=evil)) == Quote("52.00")

    [seen] = buyer.requests
    assert "x-evil" not in seen.headers
    assert seen.headers["x-zip"] == "zip " + evil.replace("\r\n", "").strip()


@pytest.mark.parametrize(
    ("behave", "reply"),
    [
        (bid, PostAccepted()),
        (refuse_with_price, PostRejected("closed")),
        (hang, PostUnknown("no answer within 200 ms")),
        (drip, PostUnknown("no answer within 200 ms")),
        (reset, PostUnknown("connection broke before the whole answer came")),
        (garbage, PostUnknown("answer is not HTTP")),
        (not_json, PostUnknown("not JSON")),
        (no_content, PostUnknown("not JSON")),
        (oversize, PostUnknown("answer over 65536 bytes")),
        (failure, PostUnknown("HTTP 500")),
        (redirect, PostUnknown("HTTP 302")),
    ],
)
async def test_what_becomes_of_a_post(
    transport: Transport, behave: Behaviour, reply: PostReply
) -> None:
    assert await post_of(behave, transport) == reply


async def test_a_post_is_sent_again_with_the_same_key_while_the_buyer_is_busy(
    transport: Transport,
) -> None:
    answers = [
        ("429 Too Many Requests", "Retry-After: 0\r\n"),
        ("503 Service Unavailable", ""),
        ("200 OK", ""),
    ]

    async def answer(connection: Connection) -> None:
        status, head = answers.pop(0)
        await connection.answer(BID, status, head)

    async with raw_buyer(by(answer)) as buyer:
        market = a_marketplace({}, post={"url": str(buyer.origin)})
        assert await a_gateway(market, transport).post(a_post()) == PostAccepted()

    assert [request.headers["idempotency-key"] for request in buyer.requests] == ["post-1"] * 3
    assert len({request.body for request in buyer.requests}) == 1


async def test_a_connection_that_never_opens_means_that_nothing_was_sent(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object, **__: object) -> None:
        await asyncio.sleep(3600)

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", never)
    gateway = a_gateway(a_marketplace({}, post={"url": "http://127.0.0.1:9"}), transport)

    assert await gateway.post(a_post(timeout_ms=100)) == PostNotSent("no connection within 100 ms")


async def test_both_buyers_of_the_example_are_understood(transport: Transport) -> None:
    market = yaml.safe_load((FIXTURES / "marketplace.yaml").read_text())
    secrets = {"ACME_TOKEN": "a", "BEACON_KEY": "b"}
    script = load_script(FIXTURES / "buyers.yaml", secrets)
    async with SimulatedBuyers(script, free_ports=True) as buyers:
        for buyer in market["buyers"][:2]:
            for offer in buyer["offers"]:
                for side in ("ping", "post"):
                    endpoint = offer["ping_post"][side]
                    path = endpoint["url"].split("/", 3)[3]
                    endpoint["url"] = f"{buyers.url(buyer['id'])}/{path}"
        gateway = a_gateway(read_marketplace(market), transport, **secrets)
        acme, beacon = await asyncio.gather(
            gateway.ping(a_ping("acme-auto")), gateway.ping(a_ping("beacon-auto"))
        )
        assert isinstance(beacon, Quote)
        assert isinstance(beacon.bid_id, str)
        posts = [
            await gateway.post(a_post("acme-auto")),
            await gateway.post(a_post("beacon-auto", bid_id=beacon.bid_id)),
        ]

    assert isinstance(acme, Quote)
    assert acme.amount == "52.00"
    assert isinstance(beacon.amount, Decimal)
    assert 32 <= beacon.amount <= 48
    assert beacon.destination == "sip:intake@127.0.0.1:5072"
    assert beacon.expires_in_s == 45
    assert posts == [PostAccepted(), PostAccepted()]
