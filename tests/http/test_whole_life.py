"""Whole lives of calls through a real ``pingpost serve``: switch, buyer and operator."""

import asyncio
import csv
import hashlib
import hmac
import io
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from buyers.simulator.script import parse_script
from buyers.simulator.server import SimulatedBuyers
from tests.eventually import eventually
from tests.service_process import AUTHORISED, ServiceProcess, a_service

SECRET = b"hook-secret"
MARKETPLACE = """
currency: USD
campaigns:
  - id: auto
    name: Auto
    numbers: ["+18005550100"]
    private_fields: [email]
    no_route_destination: "tel:+18005550199"
    payouts:
      - {{source: pub-1, trigger: timer, connected_s: 60, amount: "20.00"}}
      - {{source: "*", trigger: postback, percent: "33.33"}}
    webhooks:
      - id: warehouse
        url: {ear}/hooks
        secret: hook-secret
        events: [call.routed, call.answered, call.ended, call.converted, conversion.amended]
sources:
  - {{id: pub-1, name: Publisher}}
buyers:
  - id: acme
    name: Acme
    offers:
      - id: acme-auto
        campaign: auto
        destination: {{uri: "sip:sales@acme.example", dial_timeout_s: 20}}
        concurrency: 4
        ping_post:
          minimum_bid: "35.00"
          notices: {{won_url: "{ear}/won/acme", lost_url: "{ear}/lost/acme"}}
          ping: {{url: "{acme}/ping", timeout_ms: 1500}}
          post: {{url: "{acme}/post", timeout_ms: 1500}}
        conversions:
          - {{trigger: timer, connected_s: 90}}
          - {{trigger: postback}}
  - id: beacon
    name: Beacon
    offers:
      - id: beacon-auto
        campaign: auto
        destination: {{uri: "sip:intake@beacon.example"}}
        ping_post:
          minimum_bid: "30.00"
          notices: {{won_url: "{ear}/won/beacon", lost_url: "{ear}/lost/beacon"}}
          ping: {{url: "{beacon}/ping", timeout_ms: 1500}}
          post: {{url: "{beacon}/post", timeout_ms: 1500}}
  - id: cobalt
    name: Cobalt
    offers:
      - id: cobalt-auto
        campaign: auto
        destination: {{uri: "tel:+18885550142"}}
        static_price: "18.00"
"""
BUYERS = {
    "buyers": [
        {"name": "acme", "ping": {"bid": "52.00"}},
        {"name": "beacon", "ping": {"bid": "44.20"}},
    ]
}


@dataclass(slots=True)
class Ear:
    """Hears webhooks and notices; the first webhook of all is refused once."""

    url: str = ""
    deliveries: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    refused: str | None = None
    notices: list[str] = field(default_factory=list)

    async def hook(self, request: web.Request) -> web.Response:
        """Keep a webhook."""
        body = await request.read()
        if self.refused is None:
            self.refused = request.headers["X-Pingpost-Event-Id"]
            return web.Response(status=500)
        self.deliveries.append((dict(request.headers), body))
        return web.Response()

    async def notice(self, request: web.Request) -> web.Response:
        """Keep a notice."""
        self.notices.append(request.path)
        return web.Response()

    def told(self) -> list[tuple[str, str]]:
        """Which events were told of which calls, once for each event id."""
        bodies = {h["X-Pingpost-Event-Id"]: orjson.loads(body) for h, body in self.deliveries}
        return sorted((each["call"]["call_id"], each["event"]) for each in bodies.values())


@asynccontextmanager
async def an_ear() -> AsyncIterator[Ear]:
    """Somebody who listens on a free port."""
    ear = Ear()
    application = web.Application()
    application.router.add_post("/hooks", ear.hook)
    application.router.add_route("*", "/{what:won|lost}/{buyer}", ear.notice)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        ear.url = "http://{}:{}".format(*runner.addresses[0][:2])
        yield ear
    finally:
        await runner.cleanup()


@dataclass(slots=True)
class World:
    """A service, its buyers, and whoever listens to it."""

    service: ServiceProcess
    session: aiohttp.ClientSession
    buyers: SimulatedBuyers
    ear: Ear

    async def ask(self, method: str, path: str, **content: Any) -> tuple[int, bytes]:
        """The status and the bytes of an answer."""
        url = self.service.url + path
        async with self.session.request(method, url, **content) as response:
            return response.status, await response.read()

    async def post(self, path: str, **body: object) -> dict[str, Any]:
        """What is answered to a JSON body, which must be a 200."""
        status, answer = await self.ask("POST", path, json=body)
        assert status == 200, answer
        return _object(answer)

    async def route(self, call_id: str, **changes: object) -> dict[str, Any]:
        """Where a call from pub-1 goes."""
        call = {"call_id": call_id, "dialed_number": "+18005550100", "source": "pub-1"}
        number = {"caller_id": f"+1310555{1000 + len(call_id)}"}
        return await self.post("/v1/calls", **{**call, **number, **changes})

    async def report(self, call_id: str, kind: str, after_s: float, **more: object) -> str:
        """What becomes of an event, so many seconds after now."""
        at = (datetime.now(UTC) + timedelta(seconds=after_s)).isoformat()
        event = {"call_id": call_id, "event_id": f"{call_id}-{kind}", "type": kind, "at": at}
        result: str = (await self.post("/v1/calls/events", **{**event, **more}))["result"]
        return result

    async def record(self, call_id: str) -> dict[str, Any]:
        """A call's record, trace and ledger."""
        status, answer = await self.ask("GET", f"/v1/calls/{call_id}")
        assert status == 200, answer
        return _object(answer)

    async def export(self, **filters: str) -> str:
        """The calls as CSV."""
        headers = {"Accept": "text/csv"}
        status, answer = await self.ask("GET", "/v1/calls", params=filters, headers=headers)
        assert status == 200, answer
        return answer.decode()

    async def pingpost(self, *arguments: str) -> tuple[int, str]:
        """A command of the operator: its exit code and what it printed."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "auction", *arguments),
            *("--data-dir", str(self.service.data_dir)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode() + errors.decode()

    async def a_token(self, *options: str) -> str:
        """A new token, as the command prints it."""
        code, output = await self.pingpost("token", "create", "--name", "test", *options)
        assert code == 0, output
        return output.split()[-1]


@asynccontextmanager
async def a_world(folder: Path) -> AsyncIterator[World]:
    """The marketplace of this file, in force."""
    async with AsyncExitStack() as stack:
        ear = await stack.enter_async_context(an_ear())
        buyers = await stack.enter_async_context(SimulatedBuyers(parse_script(BUYERS)))
        urls = {name: buyers.url(name) for name in ("acme", "beacon")}
        path = folder / "marketplace.yaml"
        path.write_text(MARKETPLACE.format(ear=ear.url, **urls))
        serving = a_service(folder / "data", "--marketplace", str(path))
        service = await stack.enter_async_context(serving)
        session = await stack.enter_async_context(aiohttp.ClientSession(headers=AUTHORISED))
        yield World(service, session, buyers, ear)


def _object(answer: bytes) -> dict[str, Any]:
    value: dict[str, Any] = orjson.loads(answer)
    return value


async def _play_four_lives(world: World) -> None:
    """One sold at the second attempt, one at the first, one short, one at a fixed price."""
    assert (await world.route("c-1"))["offer"] == "acme-auto"
    failed = {"call_id": "c-1", "attempt": 1, "reason": "busy", "sip_code": 486}
    second = await world.ask("POST", "/v1/calls/next", json={**failed, "timeout_ms": 1500})
    assert await world.ask("POST", "/v1/calls/next", json=failed) == second
    assert (_object(second[1])["offer"], _object(second[1])["attempt"]) == ("beacon-auto", 2)
    other = {**failed, "reason": "no_answer"}
    assert (await world.ask("POST", "/v1/calls/next", json=other))[0] == 409
    assert await world.report("c-1", "answered", 2, attempt=2) == "applied"
    assert await world.report("c-1", "ended", 122, attempt=2, ended_by="caller") == "applied"

    assert (await world.route("c-2"))["price"] == "52.00"
    await world.report("c-2", "ended", 100, connected_duration_s=90, total_duration_s=95)

    assert (await world.route("c-3"))["offer"] == "acme-auto"
    await world.report("c-3", "ended", 95, connected_duration_s=89.6)

    for buyer in ("acme", "beacon"):
        world.buyers.change(buyer, ping={"behaviours": {"no_bid": 1}})
    static = await world.route("c-4", source="pub-2")
    assert (static["routed_by"], static["price"]) == ("static", "18.00")
    await world.report("c-4", "answered", 1)
    await world.report("c-4", "ended", 31)


async def test_four_lives_agree_in_record_ledger_export_and_reconciliation(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await _play_four_lives(world)
        acme = await world.a_token("--scope", "postback", "--buyer", "acme")
        beacon = await world.a_token("--scope", "postback", "--buyer", "beacon")
        await _report_a_conversion(world, "c-3", acme, beacon)

        records = [await world.record(f"c-{number}") for number in range(1, 5)]
        assert [_money(record["cdr"]) for record in records] == [
            ("beacon-auto", "answered", "44.20", "20.00"),
            ("acme-auto", "timer", "52.00", "20.00"),
            ("acme-auto", "postback", "30.50", "20.00"),
            ("cobalt-auto", "answered", "18.00", "0.00"),
        ]
        for record in records:
            assert _of_ledger(record, "buyer") == Decimal(record["cdr"]["revenue"])
            assert _of_ledger(record, "source") == Decimal(record["cdr"]["payout"])
        assert [each["outcome"] for each in records[0]["cdr"]["attempts"]] == ["failed", "ended"]
        await _exports_agree(world, records)
        await eventually(lambda: _nothing_is_live(world))
        for buyer in ("acme", "beacon", "cobalt"):
            await _ties_out(world, tmp_path, buyer)
        code, output = await world.pingpost("replay", "c-1")
        assert code == 0, output


async def _nothing_is_live(world: World) -> bool:
    """Whether every slot was given back."""
    async with world.session.get(f"{world.service.ops_url}/metrics") as response:
        lines = (await response.text()).splitlines()
    live = [line for line in lines if line.startswith("pingpost_live_calls{")]
    return bool(live) and all(line.endswith(" 0.0") for line in live)


def _money(cdr: dict[str, Any]) -> tuple[str, str, str, str]:
    return cdr["offer"], cdr["conversion_trigger"], cdr["revenue"], cdr["payout"]


def _of_ledger(record: dict[str, Any], side: str) -> Decimal:
    entries = [each for each in record["conversions"] if each["side"] == side]
    return sum((Decimal(each["change"]) for each in entries), Decimal(0))


async def _report_a_conversion(world: World, call_id: str, its_own: str, foreign: str) -> None:
    """The buyer reports, repeats and amends; another buyer may not."""
    path = "/v1/postbacks/conversion"
    named = {"call_id": call_id, "event_id": "crm-1", "amount": "33.00"}
    bare = {"Authorization": ""}
    for token, refusal in ((foreign, 404), ("x", 401)):
        query = {**named, "token": token}
        assert (await world.ask("GET", path, params=query, headers=bare))[0] == refusal
    results = []
    for changes in ({}, {}, {"event_id": "crm-2", "amount": "30.50"}):
        query = {**named, **changes, "token": its_own}
        status, answer = await world.ask("GET", path, params=query, headers=bare)
        assert status == 200, answer
        results.append(_object(answer)["result"])
    assert results == ["booked", "repeated", "amended"]
    other = {**named, "amount": "1.00", "token": its_own}
    assert (await world.ask("POST", path, params=other, headers=bare))[0] == 409
    assert its_own not in world.service.log


async def _exports_agree(world: World, records: list[dict[str, Any]]) -> None:
    """List, NDJSON and CSV have the same calls and the same money as the records."""
    cdrs = [record["cdr"] for record in reversed(records)]
    status, page = await world.ask("GET", "/v1/calls", params={"limit": "3"})
    rest = await world.ask(
        "GET", "/v1/calls", params={"limit": "3", "after": _object(page)["next"]}
    )
    assert (status, rest[0]) == (200, 200)
    assert _object(page)["calls"] + _object(rest[1])["calls"] == cdrs
    assert _object(rest[1])["next"] is None
    headers = {"Accept": "application/x-ndjson"}
    _, lines = await world.ask("GET", "/v1/calls", headers=headers)
    assert [orjson.loads(line) for line in lines.splitlines()] == cdrs
    rows = list(csv.DictReader(io.StringIO(await world.export())))
    for name in ("call_id", "revenue", "payout", "offer", "state"):
        assert [row[name] for row in rows] == [cdr[name] for cdr in cdrs]
    assert sum(Decimal(row["revenue"]) for row in rows) == Decimal("144.70")
    assert sum(Decimal(row["payout"]) for row in rows) == Decimal("60.00")


async def _ties_out(world: World, folder: Path, buyer: str) -> None:
    """What we exported of a buyer's calls, taken for the buyer's own file."""
    path = folder / f"{buyer}.csv"
    path.write_text(await world.export(buyer=buyer))
    code, output = await world.pingpost("reconcile", "--buyer", buyer, str(path))
    assert code == 0, output


async def test_webhooks_and_notices_tell_of_whole_lives(tmp_path: Path) -> None:
    expected = [
        *(("c-1", "call.answered"), ("c-1", "call.converted"), ("c-1", "call.converted")),
        *(("c-1", "call.ended"), ("c-1", "call.routed"), ("c-1", "call.routed")),
        *(("c-2", "call.answered"), ("c-2", "call.converted"), ("c-2", "call.converted")),
        *(("c-2", "call.ended"), ("c-2", "call.routed")),
        *(("c-3", "call.answered"), ("c-3", "call.converted"), ("c-3", "call.ended")),
        *(("c-3", "call.routed"), ("c-4", "call.answered"), ("c-4", "call.converted")),
        *(("c-4", "call.ended"), ("c-4", "call.routed")),
    ]
    async with a_world(tmp_path) as world:
        await _play_four_lives(world)
        await eventually(lambda: _agree(world.ear.told(), expected), within_s=8.0)
        for headers, body in world.ear.deliveries:
            signed = headers["X-Pingpost-Timestamp"].encode() + b"." + body
            digest = hmac.new(SECRET, signed, hashlib.sha256).hexdigest()
            assert headers["X-Pingpost-Signature"] == f"sha256={digest}"
            told = orjson.loads(body)
            assert told["event_id"] == headers["X-Pingpost-Event-Id"]
            assert "+1310555" not in body.decode()
        heard = {headers["X-Pingpost-Event-Id"] for headers, _ in world.ear.deliveries}
        assert world.ear.refused in heard
        notices = {"/won/acme", "/lost/beacon", "/won/beacon"}
        await eventually(lambda: notices <= set(world.ear.notices))


def _agree(told: list[tuple[str, str]], expected: list[tuple[str, str]]) -> bool:
    """Whether they are the same; when the time is over the difference is shown."""
    assert told == expected
    return True


async def test_a_life_goes_on_where_a_killed_service_left_it(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        call = {"call_id": "k-1", "dialed_number": "+18005550100", "source": "pub-1"}
        failed = {"call_id": "k-1", "attempt": 1, "reason": "no_answer"}
        first = await world.ask("POST", "/v1/calls", json=call)
        second = await world.ask("POST", "/v1/calls/next", json=failed)
        at = datetime.now(UTC).isoformat()
        answered = {"call_id": "k-1", "event_id": "1", "type": "answered", "attempt": 2, "at": at}
        assert (await world.post("/v1/calls/events", **answered))["result"] == "applied"
        before = await world.record("k-1")
        posts = {name: each["posts"] for name, each in world.buyers.counts().items()}

        await world.service.kill()
        await world.service.start()

        assert await world.ask("POST", "/v1/calls", json=call) == first
        assert await world.ask("POST", "/v1/calls/next", json=failed) == second
        assert (await world.post("/v1/calls/events", **answered))["result"] == "repeated"
        assert await world.record("k-1") == before
        assert {n: each["posts"] for n, each in world.buyers.counts().items()} == posts
        await world.report("k-1", "ended", 70, attempt=2, connected_duration_s=60)
        assert _money((await world.record("k-1"))["cdr"]) == (
            *("beacon-auto", "answered", "44.20", "20.00"),
        )
        again = {**failed, "attempt": 2, "reason": "short_call"}
        answer = await world.post("/v1/calls/next", **again)
        assert (answer["action"], answer["reason"]) == ("no_route", "already_converted")
        assert answer["destination"]["uri"] == "tel:+18005550199"
