"""Win and loss notices: who is told what, and what becomes of those that find no way."""

import asyncio
import logging
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from auction.domain.ids import CampaignId, OfferId, PingId
from auction.domain.notices import Notice
from auction.domain.reasons import Reason
from buyers.notices import NoticeBoard, NoticeLimits, OfferNotices, compile_notices
from buyers.transport import (
    Answer,
    FaultKind,
    Origin,
    PreparedRequest,
    RawAnswer,
    Result,
    TransportFault,
)
from config.marketplace import read_marketplace
from tests.eventually import eventually

WON = "https://Buyer.example:8443/won?id={{ ping_id }}&price={{ price }}&bid={{ bid_id }}"
LOST = (
    "http://buyer.example?offer={{ offer }}&c={{ campaign }}&why={{ reason }}-{{ code }}"
    "&b={{ bid }}"
)
OK = RawAnswer(204, b"")
BROKEN = TransportFault(FaultKind.BROKEN, "broken")
QUICK = {"hold_s": 0.0, "again_after_s": 0.0}


class FakeTransport:
    """Answers in turn with ``answers``, then always 204; ``hangs``: not before it is cancelled."""

    def __init__(self, *answers: Answer, hangs: bool = False) -> None:
        self.answers = list(answers)
        self.hangs = hangs
        self.sent: list[PreparedRequest] = []
        self.cancelled = 0

    def request(
        self,
        prepared: PreparedRequest,
        read: Callable[[Answer], Result],
        opened: Callable[[], None] | None = None,
    ) -> asyncio.Future[Result]:
        return asyncio.get_running_loop().create_task(self._answer(prepared, read))

    async def _answer(self, prepared: PreparedRequest, read: Callable[[Answer], Result]) -> Result:
        self.sent.append(prepared)
        if self.hangs:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        return read(self.answers.pop(0) if self.answers else OK)

    async def close(self) -> None:
        return


class CrashingTransport(FakeTransport):
    async def _answer(self, prepared: PreparedRequest, read: Callable[[Answer], Result]) -> Result:
        raise RuntimeError("https://buyer.example/?key=secret")


def a_board(transport: FakeTransport, **limits: Any) -> NoticeBoard:
    return NoticeBoard(transport, NoticeLimits(**{**QUICK, **limits}))


def notices_of(board: NoticeBoard, **urls: dict[str, str]) -> OfferNotices:
    """Offers with these addresses; ``silent`` bids but does not ask."""
    offers = [an_offer(name.replace("_", "-"), notices) for name, notices in urls.items()]
    offers.append(an_offer("silent", None))
    marketplace = read_marketplace(
        {
            "campaigns": [{"id": "auto-insurance"}],
            "buyers": [{"id": "acme", "offers": offers}],
        }
    )
    return compile_notices(marketplace, board)


def an_offer(name: str, notices: dict[str, str] | None) -> dict[str, object]:
    ping_post: dict[str, object] = {"ping": {"url": "http://buyer.example/ping"}}
    if notices is not None:
        ping_post["notices"] = notices
    return {"id": name, "campaign": "auto-insurance", "ping_post": ping_post}


def a_notice(offer: str = "acme-auto", **changes: Any) -> Notice:
    values: dict[str, Any] = {"ping_id": PingId("p-1"), "bid_id": "b 1&x", "bid": Decimal("52.5")}
    return Notice(OfferId(offer), CampaignId("auto-insurance"), **{**values, **changes})


def a_win(**changes: Any) -> Notice:
    return a_notice(**{"price": Decimal("52.5"), **changes})


def a_loss(**changes: Any) -> Notice:
    return a_notice(**{"reason": Reason.OUTBID, **changes})


async def sent(transport: FakeTransport, count: int) -> list[str]:
    """The addresses of so many requests once they have gone out."""
    await eventually(lambda: len(transport.sent) >= count)
    assert len(transport.sent) == count
    return [f"{each.method} {each.origin}{each.target}" for each in transport.sent]


async def idle(board: NoticeBoard) -> None:
    """Until nothing waits and nobody sends."""
    await eventually(lambda: board.waiting == 0 and not board._lanes)


async def test_the_winner_hears_the_price_and_values_are_escaped() -> None:
    transport = FakeTransport()
    board = a_board(transport)
    notices_of(board, acme_auto={"won_url": WON, "lost_url": LOST}).tell([a_win()])
    assert await sent(transport, 1) == [
        "GET https://buyer.example:8443/won?id=p-1&price=52.50&bid=b%201%26x"
    ]
    assert transport.sent[0].body is None
    await board.close()


async def test_a_loser_hears_why_and_its_own_bid() -> None:
    transport = FakeTransport()
    board = a_board(transport)
    notices_of(board, acme_auto={"won_url": WON, "lost_url": LOST}).tell(
        [a_loss(), a_loss(reason=Reason.INVALID_BID, bid=None)]
    )
    about = "GET http://buyer.example:80/?offer=acme-auto&c=auto-insurance"
    assert await sent(transport, 2) == [
        f"{about}&why=outbid-305&b=52.50",
        f"{about}&why=invalid_bid-302&b=",
    ]
    await board.close()


async def test_a_host_named_as_its_scheme_keeps_its_path() -> None:
    transport = FakeTransport()
    board = a_board(transport)
    notices_of(board, acme_auto={"won_url": "http://http/won"}).tell([a_win()])
    assert await sent(transport, 1) == ["GET http://http:80/won"]
    await board.close()


async def test_only_those_who_ask_are_told_and_only_what_they_ask_for() -> None:
    transport = FakeTransport()
    board = a_board(transport)
    notices = notices_of(board, acme_auto={"won_url": WON}, beacon={"lost_url": LOST})
    notices.tell([a_loss(), a_win(offer="beacon"), a_win(offer="silent"), a_win(offer="gone")])
    assert board.waiting == 0
    assert set(notices.wanted_by) == {"acme-auto", "beacon"}
    await board.close()


async def test_a_server_error_and_a_connection_that_never_opened_get_a_second_try() -> None:
    failures: list[Answer] = [
        RawAnswer(503, b""),
        TransportFault(FaultKind.UNREACHABLE, "refused"),
        BROKEN,
    ]
    for failure in failures:
        transport = FakeTransport(failure)
        board = a_board(transport)
        notices_of(board, acme_auto={"won_url": WON}).tell([a_win()])
        await sent(transport, 2)
        await idle(board)
        await board.close()


async def test_there_are_two_tries_at_most(caplog: pytest.LogCaptureFixture) -> None:
    transport = FakeTransport(BROKEN, BROKEN, BROKEN)
    board = a_board(transport)
    notices_of(board, acme_auto={"won_url": WON}).tell([a_win()])
    await eventually(lambda: len(transport.sent) == 2)
    await idle(board)
    await board.close()
    assert len(transport.sent) == 2
    assert [record.args for record in caplog.records] == [(1, "acme-auto 1")]


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        RawAnswer(302, b""),
        RawAnswer(404, b""),
        TransportFault(FaultKind.FORBIDDEN, "address"),
        TransportFault(FaultKind.OVERSIZE, "answer too large", 200),
    ],
)
async def test_other_answers_are_final(answer: Answer) -> None:
    transport = FakeTransport(answer)
    board = a_board(transport)
    notices_of(board, acme_auto={"won_url": WON}).tell([a_win()])
    await eventually(lambda: transport.sent)
    await idle(board)
    assert len(transport.sent) == 1
    await board.close()


async def test_a_notice_that_is_not_answered_is_given_up() -> None:
    transport = FakeTransport(hangs=True)
    board = a_board(transport, try_s=0.01)
    notices_of(board, acme_auto={"won_url": WON}).tell([a_win()])
    await eventually(lambda: transport.cancelled)
    await idle(board)
    assert len(transport.sent) == 1
    await board.close()


async def test_a_buyer_that_hangs_holds_up_nobody_elses_notices() -> None:
    class Half(FakeTransport):
        async def _answer(
            self, prepared: PreparedRequest, read: Callable[[Answer], Result]
        ) -> Result:
            self.hangs = prepared.origin.host == "hangs.example"
            return await super()._answer(prepared, read)

    transport = Half()
    board = a_board(transport, connections=2)
    notices = notices_of(
        board, acme_auto={"won_url": "http://hangs.example"}, beacon={"won_url": WON}
    )
    notices.tell([a_win()] * 5 + [a_win(offer="beacon")] * 5)
    await sent(transport, 7)
    hosts = [each.origin.host for each in transport.sent]
    assert hosts.count("hangs.example") == 2
    assert hosts.count("buyer.example") == 5
    assert board.waiting == 3
    await board.close()
    assert transport.cancelled == 2


async def test_what_finds_no_room_is_dropped_and_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    transport = FakeTransport(hangs=True)
    board = a_board(transport, per_origin=3, waiting=4, report_s=0.01)
    notices = notices_of(board, acme_auto={"won_url": WON}, beacon={"lost_url": LOST})
    notices.tell([a_win()] * 10)
    assert board.waiting == 3
    notices.tell([a_loss(offer="beacon")] * 10)
    assert board.waiting == 4
    await eventually(lambda: caplog.records)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.args == (16, "beacon 9, acme-auto 7")
    await board.close()


async def test_notices_go_out_only_when_the_answer_had_its_time() -> None:
    transport = FakeTransport()
    board = a_board(transport, hold_s=0.05)
    loop = asyncio.get_running_loop()
    began = loop.time()
    notices_of(board, acme_auto={"won_url": WON}).tell([a_win()])
    await sent(transport, 1)
    assert loop.time() - began >= 0.049
    await board.close()


async def test_a_board_used_again_after_it_was_idle_goes_on_sending() -> None:
    transport = FakeTransport()
    board = a_board(transport, connections=1)
    notices = notices_of(board, acme_auto={"won_url": WON})
    for count in range(1, 4):
        notices.tell([a_win()])
        await sent(transport, count)
    await board.close()


async def test_a_notice_that_comes_just_as_the_sender_ends_is_sent() -> None:
    transport = FakeTransport()
    board = a_board(transport, connections=1)
    notices = notices_of(board, acme_auto={"won_url": WON})
    notices.tell([a_win()])
    (lane,) = board._lanes.values()
    (sender,) = lane.senders
    while not sender.done():  # noqa: ASYNC110 - anything else would come a step too late
        await asyncio.sleep(0)
    notices.tell([a_win()])
    await sent(transport, 2)
    await board.close()


async def test_an_error_of_ours_stops_nobody_and_its_text_is_not_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    board = a_board(CrashingTransport())
    notices_of(board, acme_auto={"won_url": WON}).tell([a_win(), a_win()])
    await eventually(lambda: len(caplog.records) == 2)
    await board.close()
    assert "secret" not in caplog.text


async def test_a_closed_board_takes_nothing_more() -> None:
    transport = FakeTransport(hangs=True)
    board = a_board(transport, connections=1)
    notices = notices_of(board, acme_auto={"won_url": WON})
    notices.tell([a_win(), a_win()])
    await eventually(lambda: transport.sent)
    await board.close()
    notices.tell([a_win()])
    assert (board.waiting, len(transport.sent), transport.cancelled) == (0, 1, 1)


def test_nothing_of_the_request_is_in_a_repr() -> None:
    request = PreparedRequest(Origin("http", "b", 80), "GET", "/?key=secret", _headers())
    assert "secret" not in repr(request)


def _headers() -> Any:
    from buyers.notice_requests import _HEADERS

    return _HEADERS
