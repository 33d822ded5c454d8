"""Webhooks from the outbox to a receiver on a real socket."""

import asyncio
import hashlib
import hmac
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any
from unittest.mock import Mock

import aiohttp
import orjson
import pytest
import pytest_asyncio
from aiohttp import web
from aioresponses import aioresponses

from auction.domain.ids import BuyerId
from auction.domain.terms import Catalogue
from auction.web.dead_letters import DeadLetterHandlers
from auction.web.drain import Drain
from auction.web.edge import edge
from auction.web.webhook_view import WebhookView
from auction.webhooks.hooks import HookRequest, compile_webhooks, sign
from auction.webhooks.sender import WebhookSender
from auction.webhooks.worker import WebhookWorker
from buyers.outbound import OutboundRule
from buyers.terms import build_catalogue
from config.check import check
from config.marketplace import Marketplace
from storage.database import Database
from storage.deliveries import LEASE_S, Deliveries
from storage.outbox import Outbox
from storage.records import CallRecords
from storage.snapshots import as_it_was, offers_of
from tests.builders import CAMPAIGN
from tests.eventually import eventually
from tests.http.api_fakes import Api, FakeServices, a_client, serving
from tests.ledger_steps import VAULT
from tests.webhook_steps import (
    ACME,
    OWNER,
    a_fact,
    age,
    rows,
    states,
    store_attempt,
    store_call,
    store_conversion,
    tell,
)

LOOPBACK = OutboundRule([ip_network("127.0.0.0/8")])
SECRET = "whsec-0123456789"


@dataclass
class Receiver:
    """A subscriber that keeps what it is sent. ``gate`` holds its answers back."""

    port: int = 0
    statuses: list[int] = field(default_factory=list)
    answer: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    gate: asyncio.Event | None = None
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/in"

    @property
    def bodies(self) -> list[Any]:
        return [orjson.loads(body) for _, body in self.requests]

    async def receive(self, request: web.Request) -> web.Response:
        self.requests.append((dict(request.headers), await request.read()))
        if self.gate is not None:
            await self.gate.wait()
        status = self.statuses.pop(0) if self.statuses else 200
        return web.Response(status=status, body=self.answer, headers=self.headers)


@asynccontextmanager
async def receiving(**options: Any) -> AsyncIterator[Receiver]:
    receiver = Receiver(**options)
    application = web.Application()
    application.router.add_post("/in", receiver.receive)
    async with serving(application) as port:
        receiver.port = port
        yield receiver
        if receiver.gate is not None:
            receiver.gate.set()


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


@pytest_asyncio.fixture
async def sender() -> AsyncIterator[WebhookSender]:
    found = WebhookSender(LOOPBACK)
    yield found
    await found.close()


def a_market(*webhooks: dict[str, Any], buyers: tuple[dict[str, Any], ...] = ()) -> Marketplace:
    """The campaign and acme with these webhooks on all events; first_name is private."""
    every = list(EVENTS)
    offer = {"id": "acme-auto", "campaign": CAMPAIGN, "destination": {"uri": "tel:+18005550111"}}
    data = {
        "campaigns": [
            {
                "id": CAMPAIGN,
                "private_fields": ["first_name"],
                "webhooks": [{"id": "w", "events": every, **each} for each in webhooks],
            }
        ],
        "buyers": [
            {
                "id": "acme",
                "offers": [{**offer, "static_price": 18}],
                "webhooks": [{"id": "w", "events": every, **each} for each in buyers],
            }
        ],
    }
    _, marketplace = check(data, {}).usable()
    return marketplace


EVENTS = (
    *("call.routed", "call.answered", "call.ended", "call.converted", "conversion.amended"),
    "cap.reached",
)


@dataclass
class Market:
    """A marketplace in force."""

    marketplace: Marketplace
    environ: dict[str, str] = field(default_factory=dict)

    def catalogue(self) -> Catalogue:
        return build_catalogue(self.marketplace, 7)

    @property
    def outbox(self) -> Outbox:
        return Outbox(self.catalogue().subscribers)

    def worker(self, database: Database, sender: Any, **options: Any) -> WebhookWorker:
        hooks = compile_webhooks(self.marketplace, self.environ, None)
        services = FakeServices(catalogue=self.catalogue())
        view = WebhookView(CallRecords(database, VAULT), services, as_it_was, offers_of)
        values: dict[str, Any] = {"pause": lambda _: 0.0, **options}
        return WebhookWorker(Deliveries(database), lambda: hooks, view.show, sender, **values)


@asynccontextmanager
async def running(*workers: WebhookWorker) -> AsyncIterator[list["asyncio.Task[None]"]]:
    tasks = [asyncio.create_task(worker.run(poll_s=0.02)) for worker in workers]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_an_event_arrives_signed_with_the_calls_record(
    database: Database, receiver: Receiver, sender: WebhookSender
) -> None:
    market = Market(a_market({"url": receiver.url, "secret": SECRET}))
    await tell(database, "call-1", outbox=market.outbox, data={"attempt": 1})
    await market.worker(database, sender).deliver_due()
    [(headers, body)] = receiver.requests
    timestamp = headers["X-Pingpost-Timestamp"]
    expected = hmac.new(SECRET.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    assert headers["X-Pingpost-Signature"] == f"sha256={expected.hexdigest()}"
    told = orjson.loads(body)
    [(event_id,)] = await rows(database, "event_id")
    assert told["event_id"] == headers["X-Pingpost-Event-Id"] == event_id
    assert (told["event"], told["at"]) == ("call.routed", "2026-11-20T17:00:00.000Z")
    assert told["data"] == {"attempt": 1}
    assert (told["call"]["call_id"], told["call"]["price"]) == ("call-1", "52.00")
    assert "5551234" not in body.decode()
    assert await states(database) == ["delivered"]


async def test_a_buyer_is_told_its_own_side_only(
    database: Database, receiver: Receiver, sender: WebhookSender
) -> None:
    body = {
        "owner": "campaign",
        "payout": "{{ payout }}",
        "revenue": "{{ revenue }}",
        "name": "{{ fields.first_name }}",
        "zip": "{{ fields.zip_code }}",
        "caller": "{{ caller_id }}",
        "offer": "{{ offer }}",
    }
    hook = {"url": receiver.url, "body": body}
    market = Market(a_market(hook, buyers=({**hook, "body": {**body, "owner": "acme"}},)))
    async with database.transaction() as connection:
        fields = {"zip_code": "90210", "first_name": "Ann"}
        await store_call(connection, fields=fields)
        await store_conversion(connection, "buyer", "52")
        await store_conversion(connection, "source", "20")
        await market.outbox.write(connection, [a_fact()])
    await market.worker(database, sender).deliver_due()
    told = {each["owner"]: each for each in receiver.bodies}
    caller = told["acme"]["caller"]
    assert told["campaign"] == {
        "owner": "campaign",
        "payout": "20.00",
        "revenue": "52.00",
        "name": "Ann",
        "zip": "90210",
        "caller": caller,
        "offer": "acme-auto",
    }
    assert told["acme"] == {**told["campaign"], "owner": "acme", "payout": None, "name": None}
    assert "*" in caller


async def test_a_buyer_is_not_told_where_its_failed_call_went(
    database: Database, receiver: Receiver, sender: WebhookSender
) -> None:
    market = Market(a_market(buyers=({"url": receiver.url},)))
    async with database.transaction() as connection:
        await store_call(connection)
        await connection.execute(
            "update calls set offer = 'beacon-auto', buyer = 'beacon', price = 7654"
        )
        await store_attempt(
            connection, attempt=2, offer="beacon-auto", buyer="beacon", price="7654"
        )
        await market.outbox.write(connection, [a_fact(buyer=BuyerId("acme"))])
    await market.worker(database, sender).deliver_due()
    [(_, body)] = receiver.requests
    assert b"beacon" not in body
    assert b"7654" not in body
    assert [each["offer"] for each in orjson.loads(body)["call"]["attempts"]] == ["acme-auto"]


async def test_what_is_refused_is_sent_again_with_the_same_event_id(
    database: Database, receiver: Receiver, sender: WebhookSender
) -> None:
    receiver.statuses = [503, 302, 204]
    receiver.headers = {"Location": "/in"}
    market = Market(a_market({"url": receiver.url}))
    await tell(database, "call-1", outbox=market.outbox)
    worker = market.worker(database, sender)
    for expected in ("HTTP 503", "HTTP 302: redirects are not followed", None):
        await worker.deliver_due()
        assert await rows(database, "last_error") == [(expected,)]
    assert len({headers["X-Pingpost-Event-Id"] for headers, _ in receiver.requests}) == 1
    assert len(receiver.requests) == 3
    assert await rows(database, "state", "tries") == [("delivered", 3)]
    await worker.deliver_due()
    assert len(receiver.requests) == 3


async def test_what_is_refused_for_a_day_is_dead(
    database: Database, receiver: Receiver, sender: WebhookSender
) -> None:
    receiver.statuses = [500, 500]
    market = Market(a_market({"url": receiver.url}))
    await tell(database, "call-1", outbox=market.outbox)
    worker = market.worker(database, sender)
    await worker.deliver_due()
    await age(database, 86_401)
    await worker.deliver_due()
    assert await rows(database, "state", "tries") == [("dead", 2)]


async def test_workers_side_by_side_send_every_event_once(
    database: Database, receiver: Receiver, sender: WebhookSender
) -> None:
    market = Market(a_market({"url": receiver.url}))
    await tell(database, *(f"call-{number}" for number in range(60)), outbox=market.outbox)
    async with running(*(market.worker(database, sender) for _ in range(3))):
        await eventually(lambda: _all_delivered(database), within_s=20)
    ids = [body["event_id"] for body in receiver.bodies]
    assert len(ids) == len(set(ids)) == 60


async def _all_delivered(database: Database) -> bool:
    return set(await states(database)) == {"delivered"}


async def test_a_worker_that_dies_in_mid_delivery_leaves_it_to_the_next(
    database: Database, receiver: Receiver, sender: WebhookSender
) -> None:
    receiver.gate = asyncio.Event()
    market = Market(a_market({"url": receiver.url}))
    await tell(database, "call-1", outbox=market.outbox)
    async with running(market.worker(database, sender)):
        await eventually(lambda: len(receiver.requests) == 1)
    receiver.gate.set()
    receiver.gate = None
    worker = market.worker(database, sender)
    await worker.deliver_due()
    assert len(receiver.requests) == 1, "its lease stands"
    await age(database, LEASE_S, "due_at")
    await worker.deliver_due()
    first, again = (headers["X-Pingpost-Event-Id"] for headers, _ in receiver.requests)
    assert first == again
    assert await states(database) == ["delivered"]


async def test_a_receiver_that_hangs_holds_up_nobody_else(
    database: Database, receiver: Receiver, sender: WebhookSender
) -> None:
    async with receiving(gate=asyncio.Event()) as hanging:
        market = Market(a_market({"url": hanging.url}, buyers=({"url": receiver.url},)))
        await tell(database, *(f"call-{number}" for number in range(12)), outbox=market.outbox)
        async with running(market.worker(database, sender)):
            await eventually(lambda: len(receiver.requests) == 12)
            assert len(hanging.requests) == 4
    assert len({body["event_id"] for body in receiver.bodies}) == 12


async def test_a_receiver_that_never_answers_is_given_up_after_its_time(
    database: Database,
) -> None:
    impatient = WebhookSender(LOOPBACK, timeout_s=0.05)
    async with receiving(gate=asyncio.Event()) as hanging:
        market = Market(a_market({"url": hanging.url}))
        await tell(database, "call-1", outbox=market.outbox)
        await market.worker(database, impatient).deliver_due()
    await impatient.close()
    assert await rows(database, "state", "last_error") == [("pending", "no answer within 0.05 s")]


async def test_a_private_address_is_never_connected_to(
    database: Database, receiver: Receiver
) -> None:
    strict = WebhookSender(OutboundRule())
    market = Market(a_market({"url": receiver.url}))
    await tell(database, "call-1", outbox=market.outbox)
    await market.worker(database, strict).deliver_due()
    await strict.close()
    assert receiver.requests == []
    [(error,)] = await rows(database, "last_error")
    assert "OUTBOUND_ALLOW" in error


async def test_a_batch_goes_out_when_it_is_full_and_when_it_is_old(
    database: Database, receiver: Receiver, sender: WebhookSender
) -> None:
    market = Market(a_market({"url": receiver.url, "batch": {"every_s": 60, "max": 3}}))
    worker = market.worker(database, sender)
    await tell(database, "call-1", "call-2", outbox=market.outbox)
    await worker.deliver_due()
    assert receiver.requests == []
    await tell(database, "call-3", "call-4", outbox=market.outbox)
    await worker.deliver_due()
    await worker.deliver_due()
    [full] = receiver.bodies
    assert len(full["events"]) == 3
    assert receiver.requests[0][0]["X-Pingpost-Event-Id"] == full["events"][0]["event_id"]
    await age(database, 61)
    await worker.deliver_due()
    assert [len(body["events"]) for body in receiver.bodies] == [3, 1]
    told = {each["call"]["call_id"] for body in receiver.bodies for each in body["events"]}
    assert told == {"call-1", "call-2", "call-3", "call-4"}
    assert set(await states(database)) == {"delivered"}


async def test_a_batch_that_is_refused_is_sent_again_as_a_whole(
    database: Database, receiver: Receiver, sender: WebhookSender
) -> None:
    receiver.statuses = [500]
    market = Market(a_market({"url": receiver.url, "batch": {"every_s": 60, "max": 2}}))
    worker = market.worker(database, sender)
    await tell(database, "call-1", "call-2", outbox=market.outbox)
    await worker.deliver_due()
    assert await rows(database, "state", "tries") == [("pending", 1)] * 2
    await worker.deliver_due()
    assert await states(database) == ["delivered"] * 2
    first, again = (sorted(each["event_id"] for each in b["events"]) for b in receiver.bodies)
    assert first == again


async def test_a_call_that_can_not_be_shown_keeps_nobody_elses_event(
    database: Database, receiver: Receiver, sender: WebhookSender
) -> None:
    market = Market(a_market({"url": receiver.url, "batch": {"every_s": 60, "max": 3}}))
    async with database.transaction() as connection:
        for call_id in ("good", "gone", "odd"):
            await store_call(connection, call_id)
        facts = [a_fact(call_id) for call_id in ("good", "gone", "odd")]
        await market.outbox.write(connection, facts)
        await connection.execute("delete from calls where call_id = 'gone'")
        await connection.execute("update calls set sealed = 'x' where call_id = 'odd'")
    await market.worker(database, sender).deliver_due()
    assert await rows(database, "call_id", "state", "last_error") == [
        ("gone", "pending", "nothing is kept of the call any more"),
        ("good", "delivered", None),
        ("odd", "pending", "the call's record can't be read (SecretBoxError)"),
    ]
    [body] = receiver.bodies
    assert [each["call"]["call_id"] for each in body["events"]] == ["good"]


async def test_events_of_a_webhook_without_its_secret_wait_and_others_go_out(
    database: Database, receiver: Receiver, sender: WebhookSender
) -> None:
    market = Market(
        a_market({"url": receiver.url, "secret": {"env": "HOOK"}}, buyers=({"url": receiver.url},))
    )
    await tell(database, "call-1", outbox=market.outbox)
    await market.worker(database, sender).deliver_due()
    assert await rows(database, "owner", "state") == [(ACME, "delivered"), (OWNER, "pending")]
    market.environ["HOOK"] = SECRET
    await age(database, 31, "due_at")
    await market.worker(database, sender).deliver_due()
    assert await states(database) == ["delivered"] * 2


async def test_an_answer_of_any_size_is_an_answer(
    database: Database, receiver: Receiver, sender: WebhookSender
) -> None:
    receiver.answer = b"x" * 3_000_000
    market = Market(a_market({"url": receiver.url}))
    await tell(database, "call-1", outbox=market.outbox)
    await market.worker(database, sender).deliver_due()
    assert await states(database) == ["delivered"]


async def test_logs_and_errors_tell_neither_secrets_nor_numbers(
    database: Database, sender: WebhookSender, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with receiving() as gone:
        url = f"{gone.url}?key=in-the-url"
    headers = {"Authorization": "Bearer t0ken", "X-Caller": "{{ caller_id }}"}
    market = Market(a_market({"url": url, "secret": SECRET, "headers": headers}))
    await tell(database, "call-1", outbox=market.outbox)
    await age(database, 86_401)
    await market.worker(database, sender).deliver_due()
    [(state, error)] = await rows(database, "state", "last_error")
    assert (state, error) == ("dead", "can't connect: connection refused")
    told = "\n".join(str(record.__dict__) for record in caplog.records if _ours(record))
    assert "webhook_dead" in told
    assert not any(word in told for word in (SECRET, "t0ken", "in-the-url", "3105551234"))


def _ours(record: logging.LogRecord) -> bool:
    return record.name.startswith(("auction", "storage", "aiohttp"))


class MockedResponse(aiohttp.ClientResponse):
    """What aioresponses answers with: it does not know of aiohttp 3.14's ``stream_writer`` yet."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{"stream_writer": Mock(), **options})


def a_request() -> HookRequest:
    return HookRequest("https://hooks.example/in", {"X-Pingpost-Event-Id": "e"}, b"{}")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"status": 200}, None),
        ({"status": 299}, None),
        ({"status": 404}, "HTTP 404"),
        ({"status": 301}, "HTTP 301: redirects are not followed"),
        ({"exception": TimeoutError()}, "no answer within 10 s"),
        (
            {"exception": aiohttp.ServerDisconnectedError("secret")},
            "the connection broke before an answer came",
        ),
        ({"exception": ValueError("secret")}, "the request failed (ValueError)"),
    ],
)
async def test_what_becomes_of_a_request(
    sender: WebhookSender, answer: dict[str, Any], expected: str | None
) -> None:
    with aioresponses() as receivers:
        receivers.post("https://hooks.example/in", response_class=MockedResponse, **answer)
        assert await sender.send(a_request()) == expected


def test_a_signature_is_over_time_and_body() -> None:
    expected = hmac.new(b"k", b"12.{}", hashlib.sha256).hexdigest()
    assert sign(b"k", 12, b"{}") == f"sha256={expected}"


@asynccontextmanager
async def dead_letter_api(database: Database) -> AsyncIterator[Api]:
    services, drain = FakeServices(), Drain()
    handlers = DeadLetterHandlers(Deliveries(database), services)
    application = web.Application(middlewares=[edge(drain)])
    application.router.add_get("/v1/webhooks/dead-letters", handlers.list)
    application.router.add_post("/v1/webhooks/dead-letters/{event_id}/resend", handlers.resend)
    async with serving(application) as port, a_client() as session:
        yield Api(services, session, port, drain)


async def give_up(database: Database, market: Market, sender: WebhookSender, *ids: str) -> None:
    for call_id in ids:
        await tell(database, call_id, outbox=market.outbox)
        await age(database, 86_401)
        await market.worker(database, sender).deliver_due()


LETTERS = "/v1/webhooks/dead-letters"


async def test_dead_letters_are_listed_in_pages_and_sent_again(
    database: Database, receiver: Receiver, sender: WebhookSender
) -> None:
    receiver.statuses = [500, 500, 500]
    market = Market(a_market({"url": receiver.url, "secret": SECRET}))
    await give_up(database, market, sender, "call-1", "call-2", "call-3")
    async with dead_letter_api(database) as api:
        page = (await api.get(f"{LETTERS}?limit=2", "admin")).json()
        assert [each["call_id"] for each in page["dead_letters"]] == ["call-3", "call-2"]
        [letter, _] = page["dead_letters"]
        assert (letter["owner"], letter["webhook"]) == (OWNER, "w")
        assert (letter["event"], letter["tries"]) == ("call.routed", 1)
        assert letter["last_error"] == "HTTP 500"
        assert letter["died_at"].endswith("Z")
        assert set(letter) == {
            *("event_id", "owner", "webhook", "event", "call_id", "at", "tries"),
            *("last_error", "died_at"),
        }
        rest = (await api.get(f"{LETTERS}?limit=2&after={page['next']}", "admin")).json()
        assert [each["call_id"] for each in rest["dead_letters"]] == ["call-1"]
        assert rest["next"] is None
        again = await api.post(f"{LETTERS}/{letter['event_id']}/resend", {}, "admin")
        assert (again.status, again.json()) == (
            202,
            {"event_id": letter["event_id"], "state": "pending"},
        )
        twice = await api.post(f"{LETTERS}/{letter['event_id']}/resend", {}, "admin")
        assert twice.status == 404
    await market.worker(database, sender).deliver_due()
    assert receiver.bodies[-1]["event_id"] == letter["event_id"]
    assert sorted(await states(database)) == ["dead", "dead", "delivered"]


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        (lambda api: api.get(LETTERS, "read"), 403),
        (lambda api: api.get(LETTERS, None), 401),
        (lambda api: api.get(f"{LETTERS}?limit=0", "admin"), 422),
        (lambda api: api.get(f"{LETTERS}?limit=1001", "admin"), 422),
        (lambda api: api.get(f"{LETTERS}?limit=x", "admin"), 422),
        (lambda api: api.get(f"{LETTERS}?after=x", "admin"), 422),
        (lambda api: api.get(LETTERS, "admin"), 200),
        (lambda api: api.post(f"{LETTERS}/{'0' * 32}/resend", {}, "admin"), 404),
        (lambda api: api.post(f"{LETTERS}/%00/resend", {}, "admin"), 404),
        (lambda api: api.post(f"{LETTERS}/{'0' * 32}/resend", {}, "calls"), 403),
    ],
)
async def test_who_may_ask_for_dead_letters_and_how(
    database: Database, ask: Callable[[Api], Any], expected: int
) -> None:
    async with dead_letter_api(database) as api:
        assert (await ask(api)).status == expected
