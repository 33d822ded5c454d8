"""What the spans of pings, posts and the ledger's steps say, and whom they are told."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler
from opentelemetry.trace import SpanKind, StatusCode, use_span

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
from auction.domain.ids import PingId
from auction.domain.opening import Opening, OpenResult
from auction.domain.reasons import Reason
from auction.domain.reserving import ReserveRequest, ReserveResult
from auction.ports import PingOrder, PostOrder
from auction.tracing.gateway import TracedGateway
from auction.tracing.ledger import TracedLedger
from auction.tracing.spans import Spans
from buyers.tokens import TRACEPARENT
from storage.memory import MemoryLedger
from tests.builders import CALLER, NOON, a_call, a_campaign, an_offer
from tests.ledger_steps import a_candidate


class Kept:
    """Spans, and those of them that have ended."""

    def __init__(self, sampler: Sampler = ALWAYS_ON) -> None:
        self._ended = InMemorySpanExporter()
        provider = TracerProvider(sampler=sampler)
        provider.add_span_processor(SimpleSpanProcessor(self._ended))
        self.spans = Spans(provider.get_tracer("test"))

    @property
    def ended(self) -> Sequence[ReadableSpan]:
        """In the order in which they ended."""
        return self._ended.get_finished_spans()

    def only(self) -> ReadableSpan:
        """The one span that has ended."""
        [span] = self.ended
        return span


@dataclass
class Buyer:
    """A gateway whose pings wait, and whose posts do what they are told."""

    reply: Callable[[], Awaitable[PostReply]] | None = None
    told: list[str | None] = field(default_factory=list)
    pinged: list["asyncio.Future[PingReply]"] = field(default_factory=list)

    def ping(self, order: PingOrder) -> asyncio.Future[PingReply]:
        self.told.append(TRACEPARENT.get())
        self.pinged.append(asyncio.get_running_loop().create_future())
        return self.pinged[-1]

    async def post(self, order: PostOrder) -> PostReply:
        self.told.append(TRACEPARENT.get())
        return PostAccepted() if self.reply is None else await self.reply()


PING = PingOrder(a_call(), a_campaign(), an_offer(), PingId("p-1"), 300)
POST = PostOrder(PING.call, PING.campaign, PING.offer, a_candidate(), 400, 800)


async def answered(future: "asyncio.Future[PingReply]", reply: PingReply) -> None:
    future.set_result(reply)
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("reply", "outcome", "status"),
    [
        (Quote(amount="52.00"), "quote", StatusCode.UNSET),
        (NoBid(), "no_bid", StatusCode.UNSET),
        (PingFault(Reason.BAD_STATUS), "bad_status", StatusCode.ERROR),
    ],
)
async def test_an_answer_to_a_ping_ends_its_span_and_says_how_it_went(
    reply: PingReply, outcome: str, status: StatusCode
) -> None:
    kept, buyer = Kept(), Buyer()
    future = TracedGateway(buyer, kept.spans).ping(PING)
    assert kept.ended == ()
    await answered(future, reply)
    span = kept.only()
    assert span.attributes == {
        "pingpost.offer": "acme-auto",
        "pingpost.timeout_ms": 300,
        "pingpost.outcome": outcome,
    }
    assert (span.name, span.kind, span.status.status_code) == ("ping", SpanKind.CLIENT, status)


@pytest.mark.parametrize(
    ("message", "outcome", "status"),
    [
        ("timeout", "timeout", StatusCode.ERROR),
        ("not_awaited", "not_awaited", StatusCode.UNSET),
        (None, "not_awaited", StatusCode.UNSET),
    ],
)
async def test_a_ping_that_is_given_up_ends_its_span(
    message: str | None, outcome: str, status: StatusCode
) -> None:
    kept = Kept()
    future = TracedGateway(Buyer(), kept.spans).ping(PING)
    future.cancel(message)
    await asyncio.sleep(0)
    span = kept.only()
    assert span.attributes is not None
    assert span.attributes["pingpost.outcome"] == outcome
    assert span.status.status_code is status


async def refused() -> PostReply:
    return PostRejected()


async def lost() -> PostReply:
    return PostUnknown()


async def kept_back() -> PostReply:
    return PostNotSent()


async def cut_off() -> PostReply:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("reply", "outcome", "status"),
    [
        (None, "accepted", StatusCode.UNSET),
        (refused, "rejected", StatusCode.UNSET),
        (lost, "unknown", StatusCode.ERROR),
        (kept_back, "not_sent", StatusCode.ERROR),
        (cut_off, "timeout", StatusCode.ERROR),
    ],
)
async def test_a_posts_span_says_how_it_went(
    reply: Callable[[], Awaitable[PostReply]] | None, outcome: str, status: StatusCode
) -> None:
    kept = Kept()
    posting = asyncio.ensure_future(TracedGateway(Buyer(reply), kept.spans).post(POST))
    await asyncio.wait([posting])
    assert posting.cancelled() is (reply is cut_off)
    span = kept.only()
    assert span.attributes == {
        "pingpost.offer": "acme-auto",
        "pingpost.timeout_ms": 400,
        "pingpost.outcome": outcome,
    }
    assert (span.name, span.kind, span.status.status_code) == ("post", SpanKind.CLIENT, status)


@pytest.mark.parametrize(("sampler", "sampled"), [(ALWAYS_ON, 1), (ALWAYS_OFF, 0)])
async def test_a_buyer_is_told_the_span_of_its_own_request_and_whether_it_is_kept(
    sampler: Sampler, sampled: int
) -> None:
    kept, buyer = Kept(sampler), Buyer()
    traced = TracedGateway(buyer, kept.spans)
    await answered(traced.ping(PING), NoBid())
    await traced.post(POST)
    ids = [each.rsplit("-", 1) for each in buyer.told if each is not None]
    assert [int(flags, 16) & 1 for _, flags in ids] == [sampled, sampled]
    assert ids[0] != ids[1]
    contexts = [each.context for each in kept.ended]
    spans = [f"00-{each.trace_id:032x}-{each.span_id:016x}" for each in contexts if each]
    assert spans == ([name for name, _ in ids] if sampler is ALWAYS_ON else [])


async def test_what_one_buyer_is_told_is_gone_when_its_request_has_been_sent() -> None:
    kept = Kept()
    traced = TracedGateway(Buyer(), kept.spans)
    traced.ping(PING)
    assert TRACEPARENT.get() is None
    await traced.post(POST)
    assert TRACEPARENT.get() is None


class SlowLedger(MemoryLedger):
    """Fails to reserve, in words that name the caller."""

    async def reserve(self, request: ReserveRequest) -> ReserveResult:
        raise ValueError(CALLER.number)


async def an_opened_call(ledger: TracedLedger) -> OpenResult:
    return await ledger.open(Opening(PING.call, b"same", 2000, 1, PING.campaign.id))


async def test_a_step_of_the_ledger_that_fails_is_marked_without_what_it_says() -> None:
    kept = Kept()
    traced = TracedLedger(SlowLedger(lambda: NOON), kept.spans)
    await an_opened_call(traced)
    with pytest.raises(ValueError, match="1310"):
        await traced.reserve(ReserveRequest(PING.call, PING.campaign.id, 1, 1, (), 0, b"", 1000))
    names = [span.name for span in kept.ended]
    assert names == ["open", "eligibility", "reserve"]
    opened, eligible, reserved = kept.ended
    assert (reserved.status.status_code, reserved.status.description) == (StatusCode.ERROR, None)
    assert reserved.events == ()
    assert opened.status.is_ok
    assert eligible.status.is_ok
    assert reserved.attributes == {"pingpost.candidates": 0}
    times = [opened.end_time, eligible.start_time, eligible.end_time, reserved.start_time]
    assert times == sorted(each for each in times if each is not None)


async def test_each_step_is_a_part_of_its_request_and_eligibility_is_one_of_them() -> None:
    kept = Kept()
    ledger = TracedLedger(MemoryLedger(lambda: NOON), kept.spans)
    gateway = TracedGateway(Buyer(), kept.spans)
    with use_span(kept.spans.start("request"), end_on_exit=True):
        await an_opened_call(ledger)
        for _ in range(2):
            await answered(gateway.ping(PING), NoBid())
    *steps, request = kept.ended
    assert [span.name for span in steps] == ["open", "eligibility", "ping", "ping"]
    assert [span.parent for span in steps] == [request.context] * 4
    assert request.attributes == {
        "pingpost.call_id": "call-1",
        "pingpost.campaign": "auto-insurance",
    }


async def test_spans_hold_nothing_of_the_caller() -> None:
    kept = Kept()
    ledger = TracedLedger(MemoryLedger(lambda: NOON), kept.spans)
    gateway = TracedGateway(Buyer(), kept.spans)
    await an_opened_call(ledger)
    await answered(gateway.ping(PING), NoBid("of the caller"))
    await gateway.post(POST)
    said = " ".join(span.to_json() for span in kept.ended)
    assert CALLER.number is not None
    for private in (CALLER.number[1:], "90210", "auto_insurance", "of the caller"):
        assert private not in said
