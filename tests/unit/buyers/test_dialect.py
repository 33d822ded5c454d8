import pytest

from auction.domain.bidding import (
    NoBid,
    PingFault,
    PostAccepted,
    PostNotSent,
    PostRejected,
    PostReply,
    PostUnknown,
    Quote,
)
from auction.domain.reasons import Reason
from buyers import plain_dialect
from buyers.dialect import PingDialect, PostDialect
from buyers.transport import FaultKind, RawAnswer, TransportFault

BID = b'{"accepted": true, "bid": 52}'
NO = b'{"accepted": false, "reason": "closed"}'
ping = PingDialect(plain_dialect.read_ping)
post = PostDialect(plain_dialect.read_post)
idempotent = PostDialect(plain_dialect.read_post, idempotent=True)


@pytest.mark.parametrize("status", [200, 201, 202, 206, 299])
def test_any_success_is_read(status: int) -> None:
    assert ping.read(RawAnswer(status, BID)) == Quote(52)
    assert ping.read(RawAnswer(status, NO)) == NoBid("closed")
    assert post.read(RawAnswer(status, BID)).reply == PostAccepted()
    assert post.read(RawAnswer(status, NO)).reply == PostRejected("closed")


def test_the_statuses_named_are_no_bids_whatever_the_body() -> None:
    other = PingDialect(plain_dialect.read_ping, frozenset({404, 200, 503}))

    assert ping.read(RawAnswer(204, b"")) == NoBid("HTTP 204")
    for status in (404, 200, 503):
        assert other.read(RawAnswer(status, BID)) == NoBid(f"HTTP {status}")
    assert other.read(RawAnswer(204, b"")) == PingFault(Reason.MALFORMED_REPLY, "not JSON")


@pytest.mark.parametrize("status", [101, 300, 301, 302, 307, 400, 401, 404, 408, 429, 500, 503])
def test_any_other_status_of_a_ping_is_bad_whatever_the_body(status: int) -> None:
    assert ping.read(RawAnswer(status, BID)) == PingFault(Reason.BAD_STATUS, f"HTTP {status}")


@pytest.mark.parametrize(
    ("kind", "reason", "blames"),
    [
        (FaultKind.FORBIDDEN, Reason.UNREACHABLE, False),
        (FaultKind.UNREACHABLE, Reason.UNREACHABLE, True),
        (FaultKind.OWN_LIMIT, Reason.OUTBOUND_LIMIT, False),
        (FaultKind.PROXY, Reason.UNREACHABLE, False),
        (FaultKind.BROKEN, Reason.ERROR, True),
        (FaultKind.MALFORMED, Reason.MALFORMED_REPLY, True),
        (FaultKind.OVERSIZE, Reason.OVERSIZE_REPLY, True),
        (FaultKind.CRASHED, Reason.ERROR, False),
    ],
)
def test_every_failure_of_a_ping_has_its_reason(
    kind: FaultKind, reason: Reason, *, blames: bool
) -> None:
    assert ping.read(TransportFault(kind, "why")) == PingFault(reason, "why", blames_buyer=blames)


def test_a_bad_status_outweighs_a_body_that_could_not_be_read() -> None:
    fault = TransportFault(FaultKind.OVERSIZE, "answer over 65536 bytes", 500)

    assert ping.read(fault) == PingFault(Reason.BAD_STATUS, "HTTP 500")
    assert post.read(TransportFault(FaultKind.OVERSIZE, "why", 404)).reply == PostRejected(
        "HTTP 404"
    )


@pytest.mark.parametrize(
    ("status", "reply", "again", "again_if_idempotent"),
    [
        (400, PostRejected("HTTP 400"), False, False),
        (401, PostRejected("HTTP 401"), False, False),
        (404, PostRejected("HTTP 404"), False, False),
        (409, PostRejected("HTTP 409"), False, False),
        (422, PostRejected("HTTP 422"), False, False),
        (408, PostUnknown("HTTP 408"), False, True),
        (429, PostNotSent("HTTP 429"), True, True),
        (500, PostUnknown("HTTP 500"), False, True),
        (502, PostUnknown("HTTP 502"), False, True),
        (503, PostUnknown("HTTP 503"), True, True),
        (302, PostUnknown("HTTP 302"), False, True),
    ],
)
def test_what_the_status_of_a_post_means(
    status: int, reply: PostReply, *, again: bool, again_if_idempotent: bool
) -> None:
    answer = RawAnswer(status, BID)

    assert post.read(answer).reply == idempotent.read(answer).reply == reply
    assert post.read(answer).again is again
    assert idempotent.read(answer).again is again_if_idempotent


@pytest.mark.parametrize(
    ("kind", "reply", "again", "again_if_idempotent"),
    [
        (FaultKind.FORBIDDEN, PostNotSent("why", blames_buyer=False), False, False),
        (FaultKind.UNREACHABLE, PostNotSent("why"), True, True),
        (FaultKind.OWN_LIMIT, PostNotSent("why", blames_buyer=False), True, True),
        (FaultKind.PROXY, PostNotSent("why", blames_buyer=False), True, True),
        (FaultKind.BROKEN, PostUnknown("why"), False, True),
        (FaultKind.MALFORMED, PostUnknown("why"), False, True),
        (FaultKind.OVERSIZE, PostUnknown("why"), False, True),
        (FaultKind.CRASHED, PostUnknown("why", blames_buyer=False), False, True),
    ],
)
def test_what_the_failure_of_a_post_means(
    kind: FaultKind, reply: PostReply, *, again: bool, again_if_idempotent: bool
) -> None:
    fault = TransportFault(kind, "why")

    assert post.read(fault).reply == idempotent.read(fault).reply == reply
    assert post.read(fault).again is again
    assert idempotent.read(fault).again is again_if_idempotent


def test_an_unreadable_success_is_unknown_and_repeated_only_where_that_is_safe() -> None:
    answer = RawAnswer(200, b"<html>")

    assert post.read(answer).reply == PostUnknown("not JSON")
    assert not post.read(answer).again
    assert idempotent.read(answer).again


def test_an_answer_is_never_asked_again() -> None:
    for body in (BID, NO):
        assert not idempotent.read(RawAnswer(200, body)).again


def test_when_to_come_back_is_passed_on() -> None:
    assert post.read(RawAnswer(503, b"", "2")).retry_after == "2"
