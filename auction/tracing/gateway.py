"""Pings and posts, each in a span, which buyers may join."""

import asyncio
from functools import partial

from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from auction.domain.bidding import (
    NoBid,
    PingFault,
    PingReply,
    PostAccepted,
    PostRejected,
    PostReply,
    PostUnknown,
    Quote,
)
from auction.domain.reasons import Reason
from auction.ports import BuyerGateway, PingOrder, PostOrder
from auction.tracing.spans import PREFIX, About, Spans, traceparent
from buyers.tokens import TRACEPARENT

OUTCOME = PREFIX + "outcome"

NOT_AWAITED = Reason.NOT_AWAITED.outcome


class TracedGateway:
    """A ``BuyerGateway`` whose requests can carry ``traceparent``: the span of the ping or post."""

    def __init__(self, gateway: BuyerGateway, spans: Spans) -> None:
        self._gateway = gateway
        self._spans = spans

    def ping(self, order: PingOrder) -> asyncio.Future[PingReply]:
        """See ``BuyerGateway.ping``."""
        self._spans.eligibility_over()
        about = _about(order)
        span = self._spans.start("ping", about, SpanKind.CLIENT)
        token = TRACEPARENT.set(traceparent(span))
        try:
            future = self._gateway.ping(order)
        finally:
            TRACEPARENT.reset(token)
        future.add_done_callback(partial(_end_ping, span))
        return future

    async def post(self, order: PostOrder) -> PostReply:
        """See ``BuyerGateway.post``."""
        about = _about(order)
        span = self._spans.start("post", about, SpanKind.CLIENT)
        token = TRACEPARENT.set(traceparent(span))
        outcome = "timeout"
        try:
            reply = await self._gateway.post(order)
            outcome = _post_outcome(reply)
            return reply
        finally:
            TRACEPARENT.reset(token)
            _end(span, outcome, well=outcome in {"accepted", "rejected"})


def _about(order: PingOrder | PostOrder) -> About:
    return {"offer": order.offer.id, "timeout_ms": order.timeout_ms}


def _end_ping(span: Span, future: "asyncio.Future[PingReply]") -> None:
    try:
        reply = future.result()
    except asyncio.CancelledError as given_up:
        outcome = given_up.args[0] if given_up.args else NOT_AWAITED
        _end(span, outcome, well=outcome == NOT_AWAITED)
        return
    if isinstance(reply, PingFault):
        _end(span, reply.reason.outcome, well=False)
    else:
        _end(span, _answered(reply), well=True)


def _answered(reply: Quote | NoBid) -> str:
    return "quote" if isinstance(reply, Quote) else "no_bid"


def _post_outcome(reply: PostReply) -> str:
    match reply:
        case PostAccepted():
            return "accepted"
        case PostRejected():
            return "rejected"
        case PostUnknown():
            return "unknown"
        case _:
            return "not_sent"


def _end(span: Span, outcome: str, *, well: bool) -> None:
    span.set_attribute(OUTCOME, outcome)
    if not well:
        span.set_status(Status(StatusCode.ERROR))
    span.end()
