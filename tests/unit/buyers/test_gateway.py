import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson
import pytest

from auction.domain.bidding import (
    NoBid,
    PingFault,
    PostAccepted,
    PostNotSent,
    PostReply,
    PostUnknown,
    Quote,
)
from auction.domain.call import Caller
from auction.domain.ids import BuyerId, OfferId, PingId, PostId
from auction.domain.plan import Candidate, RoutedBy
from auction.domain.reasons import Reason
from auction.domain.terms import Destination
from auction.ports import BuyerGateway, PingOrder, PostOrder
from buyers.gateway import HttpBuyerGateway, compile_gateway
from buyers.transport import (
    Answer,
    FaultKind,
    PreparedRequest,
    RawAnswer,
    Result,
    Transport,
    TransportFault,
)
from config.marketplace import Marketplace
from tests.builders import a_call, a_campaign, an_offer
from tests.unit.buyers.samples import a_marketplace

BID = RawAnswer(200, b'{"accepted": true, "bid": "52.00", "bid_id": "b-1"}')
FIELDS = {"zip_code": "90210", "email": "jo@example.com"}


class ScriptedTransport:
    """Answers every request at once, with the next answer or for ever with the last."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self.answers = list(answers)
        self.sent: list[PreparedRequest] = []

    def request(
        self,
        prepared: PreparedRequest,
        read: Callable[[Answer], Result],
        opened: Callable[[], None] | None = None,
    ) -> asyncio.Future[Result]:
        self.sent.append(prepared)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if opened is not None:
            opened()
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        future.set_result(read(answer))
        return future

    async def close(self) -> None:
        """Nothing is open."""


def a_gateway(marketplace: Marketplace, transport: Transport, **changes: Any) -> HttpBuyerGateway:
    values: dict[str, Any] = {
        "environ": {},
        "box": None,
        "hash_key_for": lambda offer: b"key of " + offer.encode(),
        "clock": lambda: 1_795_280_000.5,
        **changes,
    }
    return compile_gateway(marketplace, transport=transport, **values)


def a_ping(offer: str = "offer-0") -> PingOrder:
    terms = an_offer(offer)
    campaign = a_campaign(terms, private_fields=frozenset({"email"}))
    return PingOrder(a_call(fields=FIELDS), campaign, terms, PingId("ping-1"), 480)


def a_post(offer: str = "offer-0", timeout_ms: int = 500) -> PostOrder:
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
        bid_id="b-1",
    )
    return PostOrder(ping.call, ping.campaign, ping.offer, candidate, timeout_ms, timeout_ms)


def body_of(request: PreparedRequest) -> Any:
    assert request.body is not None
    return orjson.loads(request.body)


async def test_a_ping_without_mapping_speaks_the_plain_dialect() -> None:
    transport = ScriptedTransport(BID)
    gateway: BuyerGateway = a_gateway(a_marketplace({}), transport)

    assert await gateway.ping(a_ping()) == Quote("52.00", bid_id="b-1")
    assert body_of(transport.sent[0]) == {
        "ping_id": "ping-1",
        "campaign": "auto-insurance",
        "offer": "offer-0",
        "caller": {"area_code": "310", "state": "CA", "country": "US"},
        "fields": {"zip_code": "90210"},
        "minimum_bid": "35.00",
        "timeout_ms": 480,
    }


@pytest.mark.parametrize("named", ["native", "aiohttp"])
async def test_an_offer_goes_by_the_transport_that_it_names(named: str) -> None:
    transports = {
        name: ScriptedTransport(BID, RawAnswer(200, b'{"accepted": true}'))
        for name in ("native", "aiohttp")
    }
    market = a_marketplace({}, post={}, transport=named)
    gateway = a_gateway(market, transports["native"], aiohttp=transports["aiohttp"])

    await gateway.ping(a_ping())
    await gateway.post(a_post())

    assert {name: len(each.sent) for name, each in transports.items() if each.sent} == {named: 2}
    origins = [request.origin for request in transports["native"].sent[:1]]
    assert gateway.native_origins() == origins


async def test_pings_of_calls_and_campaigns_that_alternate_tell_each_its_own() -> None:
    transport = ScriptedTransport(BID)
    gateway = a_gateway(a_marketplace({}, {}), transport)
    first = a_ping()
    other = replace(first, call=replace(first.call, fields={"age": 42}, caller=Caller()))
    open_to_all = replace(first, campaign=replace(first.campaign, private_fields=frozenset()))
    orders = [first, replace(first, offer=an_offer("offer-1")), other, first, open_to_all, other]

    for order in orders:
        await gateway.ping(order)

    zipped = {"zip_code": "90210"}
    sent = [body_of(request) for request in transport.sent]
    assert [body["offer"][-1] for body in sent] == ["0", "1", "0", "0", "0", "0"]
    told = [(body["fields"], body["caller"]["state"]) for body in sent]
    assert told == [
        (zipped, "CA"),
        (zipped, "CA"),
        ({"age": 42}, None),
        (zipped, "CA"),
        (FIELDS, "CA"),
        ({"age": 42}, None),
    ]


async def test_a_post_carries_the_private_fields_and_its_key() -> None:
    transport = ScriptedTransport(RawAnswer(200, b'{"accepted": true}'))
    gateway = a_gateway(a_marketplace({}, post={}), transport)

    assert await gateway.post(a_post()) == PostAccepted()
    sent = transport.sent[0]
    assert ("Idempotency-Key", "post-1") in sent.headers
    assert body_of(sent) == {
        "ping_id": "ping-1",
        "campaign": "auto-insurance",
        "offer": "offer-0",
        "caller": {"area_code": "310", "state": "CA", "country": "US"},
        "fields": FIELDS,
        "minimum_bid": "35.00",
        "timeout_ms": 500,
        "caller_id": "+13105551234",
        "bid_id": "b-1",
        "bid": "52.50",
        "post_id": "post-1",
    }


async def test_a_mapped_offer_is_asked_and_read_in_its_own_words() -> None:
    transport = ScriptedTransport(RawAnswer(200, b'{"s": "NO", "why": "closed"}'))
    ping = {
        "body": {"zip": "{{ fields.zip_code }}", "mail": "{{ fields.email }}"},
        "response": {
            "accepted": {"at": "s", "equals": ["YES"]},
            "amount": {"at": "p"},
            "reason": {"at": "why"},
        },
    }
    gateway = a_gateway(a_marketplace(ping), transport)

    assert await gateway.ping(a_ping()) == NoBid("closed")
    assert body_of(transport.sent[0]) == {"zip": "90210", "mail": None}


async def test_each_level_may_say_how_callers_are_hashed() -> None:
    transport = ScriptedTransport(BID)
    hashed = {"caller_id": "hashed", "body": ["{{ caller_id }}"]}
    own = a_gateway(a_marketplace({**hashed, "hash_key": "key"}, hash_key="other"), transport)
    offers = a_gateway(a_marketplace(hashed, hash_key="key"), transport)
    made = a_gateway(a_marketplace(hashed), transport, hash_key_for=lambda _offer: b"key")
    plain = a_gateway(a_marketplace(hashed, hash="sha256"), transport)
    for gateway in (own, offers, made, plain):
        await gateway.ping(a_ping())

    keyed = "469d925d791ff51279e94d8ff14a545cfbf1da6e3b5c59f6c490b9055ff442c7"
    unkeyed = "a2f7381cd9b4a70cbbbe1113afa0770eed79adfba525c33b69a11f87790850e1"
    assert [body_of(sent) for sent in transport.sent] == [[keyed], [keyed], [keyed], [unkeyed]]


async def test_an_offer_whose_secret_is_not_set_is_not_asked() -> None:
    transport = ScriptedTransport(BID)
    auth = {"type": "bearer", "token": {"env": "ACME_TOKEN"}}
    gateway = a_gateway(a_marketplace({"auth": auth}, {}, post={}), transport)

    for _ in range(2):
        assert await gateway.ping(a_ping("offer-0")) == PingFault(
            Reason.NOT_ASKED,
            "the environment variable ACME_TOKEN is not set",
            blames_buyer=False,
        )
    assert isinstance(await gateway.post(a_post("offer-0")), PostNotSent)
    assert transport.sent == []
    assert isinstance(await gateway.ping(a_ping("offer-1")), Quote)
    assert gateway.unusable() == {
        OfferId("offer-0"): "the environment variable ACME_TOKEN is not set"
    }


async def test_an_offer_that_this_revision_does_not_have_is_not_asked() -> None:
    gateway = a_gateway(a_marketplace({}), ScriptedTransport(BID))
    reply = await gateway.ping(a_ping("gone"))

    assert isinstance(reply, PingFault)
    assert reply.reason is Reason.NOT_ASKED


async def test_an_offer_without_an_address_to_post_to_is_not_posted() -> None:
    transport = ScriptedTransport(BID)
    reply = await a_gateway(a_marketplace({}), transport).post(a_post())

    assert isinstance(reply, PostNotSent)
    assert transport.sent == []


async def test_a_crash_while_asking_is_an_error_that_blames_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    transport = ScriptedTransport(ValueError("+13105551234 and s3cret"))
    gateway = a_gateway(a_marketplace({}, post={}), transport)

    assert await gateway.ping(a_ping()) == PingFault(
        Reason.ERROR, "internal error", blames_buyer=False
    )
    assert await gateway.post(a_post()) == PostUnknown("internal error", blames_buyer=False)
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.ERROR]
    assert "3105551234" not in str([vars(record) for record in caplog.records])
    assert "s3cret" not in str([vars(record) for record in caplog.records])


async def test_a_crash_while_reading_is_an_error_that_blames_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def crash(_body: bytes) -> None:
        raise KeyError("+13105551234")

    monkeypatch.setattr("buyers.plain_dialect.read_ping", crash)
    monkeypatch.setattr("buyers.plain_dialect.read_post", crash)
    gateway = a_gateway(a_marketplace({}, post={}), ScriptedTransport(BID))

    assert await gateway.ping(a_ping()) == PingFault(
        Reason.ERROR, "internal error", blames_buyer=False
    )
    assert await gateway.post(a_post()) == PostUnknown("internal error", blames_buyer=False)


async def test_a_crash_before_a_post_leaves_means_it_was_not_sent() -> None:
    def crash(_offer: OfferId) -> bytes:
        raise KeyError("+13105551234")

    transport = ScriptedTransport(BID)
    market = a_marketplace({}, post={"caller_id": "hashed"})
    gateway = a_gateway(market, transport, hash_key_for=crash)

    assert await gateway.post(a_post()) == PostNotSent(
        "it can't be compiled (KeyError)", blames_buyer=False
    )
    assert transport.sent == []


async def test_answers_that_differ_only_in_true_and_1_are_told_apart() -> None:
    def saying(yes: object) -> dict[str, Any]:
        accepted = {"at": "ok", "equals": [yes]}
        return {"response": {"accepted": accepted, "amount": {"at": "price"}}}

    transport = ScriptedTransport(RawAnswer(200, b'{"ok": 1, "price": "40.00"}'))
    gateway = a_gateway(a_marketplace(saying(True), saying(1)), transport)

    assert isinstance(await gateway.ping(a_ping("offer-0")), NoBid)
    assert isinstance(await gateway.ping(a_ping("offer-1")), Quote)


@pytest.mark.parametrize(
    ("answers", "reply", "tries"),
    [
        ([TransportFault(FaultKind.UNREACHABLE, "refused"), BID], PostAccepted(), 2),
        ([RawAnswer(429, b""), RawAnswer(503, b""), BID], PostAccepted(), 3),
        ([RawAnswer(500, b""), BID], PostUnknown("HTTP 500"), 1),
        ([TransportFault(FaultKind.BROKEN, "broke"), BID], PostUnknown("broke"), 1),
        (
            [TransportFault(FaultKind.FORBIDDEN, "no"), BID],
            PostNotSent("no", blames_buyer=False),
            1,
        ),
    ],
)
async def test_a_post_is_repeated_only_where_the_contract_says(
    answers: list[Answer], reply: PostReply, tries: int
) -> None:
    transport = ScriptedTransport(*answers)
    gateway = a_gateway(a_marketplace({}, post={}), transport)

    assert await gateway.post(a_post()) == reply
    assert len(transport.sent) == tries


async def test_an_idempotent_post_is_repeated_after_any_doubt() -> None:
    transport = ScriptedTransport(
        RawAnswer(500, b""), TransportFault(FaultKind.BROKEN, "broke"), BID
    )
    gateway = a_gateway(a_marketplace({}, post={"idempotent": True}), transport)

    assert await gateway.post(a_post()) == PostAccepted()
    assert len({request.headers for request in transport.sent}) == 1
