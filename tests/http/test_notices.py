"""Win and loss notices over real sockets."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from ipaddress import ip_network
from typing import Any

import pytest

from auction.domain.ids import CampaignId, OfferId, PingId
from auction.domain.notices import Notice
from auction.domain.reasons import Reason
from buyers.aiohttp_transport import AiohttpTransport
from buyers.notices import NoticeBoard, NoticeLimits, OfferNotices, compile_notices
from buyers.outbound import OutboundRule
from config.marketplace import read_marketplace
from tests.contract.raw_buyer import Connection, RawBuyer, raw_buyer
from tests.eventually import eventually

LOOPBACK = "127.0.0.0/8"
QUICK = NoticeLimits(hold_s=0.0, again_after_s=0.0, try_s=2.0)


@asynccontextmanager
async def a_board(
    *allowed: str, limits: NoticeLimits = QUICK
) -> AsyncIterator[tuple[NoticeBoard, AiohttpTransport]]:
    transport = AiohttpTransport(OutboundRule([ip_network(network) for network in allowed]))
    board = NoticeBoard(transport, limits)
    try:
        yield board, transport
    finally:
        await board.close()
        await transport.close()


def notices_to(board: NoticeBoard, **urls: str) -> OfferNotices:
    """One offer for each address; it hears of wins and losses there."""
    offers = [
        {
            "id": name,
            "campaign": "auto",
            "ping_post": {
                "ping": {"url": "http://buyer.example/ping"},
                "notices": {
                    "won_url": f"{url}/won?id={{{{ ping_id }}}}&price={{{{ price }}}}&key=secret",
                    "lost_url": f"{url}/lost?id={{{{ ping_id }}}}&code={{{{ code }}}}&key=secret",
                },
            },
        }
        for name, url in urls.items()
    ]
    data = {"campaigns": [{"id": "auto"}], "buyers": [{"id": "acme", "offers": offers}]}
    return compile_notices(read_marketplace(data), board)


def a_notice(offer: str, **changes: Any) -> Notice:
    return Notice(OfferId(offer), CampaignId("auto"), PingId(f"ping-{offer}"), **changes)


def a_win(offer: str) -> Notice:
    return a_notice(offer, price=Decimal("52.5"), bid=Decimal("52.5"))


def a_loss(offer: str, reason: Reason = Reason.OUTBID) -> Notice:
    return a_notice(offer, reason=reason, bid=Decimal(40))


async def thank(connection: Connection, buyer: RawBuyer) -> None:
    while True:
        buyer.requests.append(await connection.request())
        await connection.answer(b"", "204 No Content")


async def hang(connection: Connection, buyer: RawBuyer) -> None:
    buyer.requests.append(await connection.request())
    await connection.until_closed()


async def fail(connection: Connection, buyer: RawBuyer) -> None:
    while True:
        buyer.requests.append(await connection.request())
        await connection.answer(b"", "503 Service Unavailable")


def lines(buyer: RawBuyer) -> list[str]:
    return sorted(request.line for request in buyer.requests)


async def test_winner_and_losers_each_hear_their_own_news() -> None:
    async with a_board(LOOPBACK) as (board, _), raw_buyer(thank) as buyer:
        url = str(buyer.origin)
        notices = notices_to(board, acme=url, beacon=url, cobalt=url)
        notices.tell([a_win("acme"), a_loss("beacon"), a_loss("cobalt", Reason.BELOW_MINIMUM)])
        await eventually(lambda: len(buyer.requests) == 3)
        assert lines(buyer) == [
            "GET /lost?id=ping-beacon&code=305&key=secret HTTP/1.1",
            "GET /lost?id=ping-cobalt&code=301&key=secret HTTP/1.1",
            "GET /won?id=ping-acme&price=52.50&key=secret HTTP/1.1",
        ]
        assert all(request.body == b"" for request in buyer.requests)
        assert "content-length" not in buyer.requests[0].headers


async def test_telling_costs_nothing_whatever_the_address_does() -> None:
    async with a_board(LOOPBACK) as (board, _), raw_buyer(hang) as stuck, raw_buyer(thank) as fine:
        notices = notices_to(board, acme=str(stuck.origin), beacon=str(fine.origin))
        began = time.perf_counter()
        for _ in range(500):
            notices.tell([a_loss("acme"), a_win("beacon")])
        assert time.perf_counter() - began < 0.5
        await eventually(lambda: len(fine.requests) == 500)
        assert len(stuck.requests) == QUICK.connections
        assert stuck.connections == QUICK.connections


async def test_an_address_that_hangs_gets_one_try_and_the_next_notice_its_turn() -> None:
    limits = NoticeLimits(hold_s=0.0, try_s=0.05, connections=1)
    async with a_board(LOOPBACK, limits=limits) as (board, _), raw_buyer(hang) as stuck:
        notices_to(board, acme=str(stuck.origin)).tell([a_loss("acme"), a_win("acme")])
        await eventually(lambda: stuck.gone == 2)
        assert [request.line.split("?")[0] for request in stuck.requests] == [
            "GET /lost",
            "GET /won",
        ]


async def test_the_queue_is_bounded() -> None:
    limits = NoticeLimits(hold_s=0.0, waiting=50)
    async with a_board(LOOPBACK, limits=limits) as (board, _), raw_buyer(hang) as stuck:
        notices = notices_to(board, acme=str(stuck.origin))
        notices.tell([a_loss("acme")] * 1000)
        assert board.waiting == 50
        await eventually(lambda: len(stuck.requests) == limits.connections)


async def test_a_private_address_is_refused_unless_it_is_allowed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    limits = NoticeLimits(hold_s=0.0, report_s=0.01)
    async with raw_buyer(thank) as buyer:
        async with a_board(limits=limits) as (board, _):
            notices_to(board, acme=str(buyer.origin)).tell([a_win("acme")])
            await eventually(lambda: caplog.records)
        assert (buyer.connections, buyer.requests) == (0, [])
        async with a_board(LOOPBACK, limits=limits) as (board, _):
            notices_to(board, acme=str(buyer.origin)).tell([a_win("acme")])
            await eventually(lambda: buyer.requests)


async def test_a_server_error_is_tried_twice_and_logged_without_the_address(
    caplog: pytest.LogCaptureFixture,
) -> None:
    limits = NoticeLimits(hold_s=0.0, again_after_s=0.0, report_s=0.01)
    async with a_board(LOOPBACK, limits=limits) as (board, _), raw_buyer(fail) as buyer:
        notices_to(board, acme=str(buyer.origin)).tell([a_win("acme")])
        await eventually(lambda: caplog.records)
        assert len(buyer.requests) == 2
    assert "secret" not in caplog.text
    assert "127.0.0.1" not in caplog.text
    assert "acme 1" in caplog.text


async def test_closing_ends_what_is_under_way_at_once() -> None:
    async with raw_buyer(hang) as stuck:
        async with a_board(LOOPBACK) as (board, _):
            notices_to(board, acme=str(stuck.origin)).tell([a_loss("acme")] * 3)
            await eventually(lambda: len(stuck.requests) == 3)
            async with asyncio.timeout(0.5):
                await board.close()
        await eventually(lambda: stuck.gone == 3)
