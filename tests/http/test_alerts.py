"""A buyer times out, an alert fires, its offer is paused and resumed: all of it over HTTP."""

import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from buyers.simulator.script import parse_script
from buyers.simulator.server import SimulatedBuyers
from config.secret_box import new_key
from storage.database import Database
from tests.eventually import eventually
from tests.service_process import AUTHORISED, ServiceProcess, a_service

CALLS = 6
SECRET = b"alert-secret"
MARKETPLACE = """
campaigns:
  - {{id: auto, name: Auto, numbers: ["+18005550100"]}}
buyers:
  - id: acme
    name: Acme
    offers:
      - id: acme-auto
        campaign: auto
        destination: {{uri: "sip:sales@acme.example"}}
        ping_post:
          ping: {{url: "{acme}/ping", timeout_ms: 50}}
  - id: cobalt
    name: Cobalt
    offers:
      - id: cobalt-auto
        campaign: auto
        destination: {{uri: "tel:+18885550142"}}
        static_price: "18.00"
        caps: [{{measure: calls, per: total, limit: {calls}}}]
alerts:
  - id: cap-at-90
    each_offer: true
    measure: cap_used_ratio
    at_least: "0.9"
    webhook: {{url: "{ear}/caps"}}
  - id: slow
    name: A buyer that times out
    each_offer: true
    measure: timeout_rate
    above: "0.10"
    over_minutes: 5
    minimum_sample: 5
    auto_pause: {{resume_after_minutes: 30}}
    webhook: {{url: "{ear}/alerts", secret: alert-secret}}
    escalation:
      after_minutes: 15
      webhook: {{url: "{ear}/escalations"}}
"""


_GAUGE = 'pingpost_alerts_firing{alert="slow"}'


@dataclass
class Ear:
    """Keeps what it is told, by path."""

    port: int = 0
    told: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    async def hear(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.path == "/alerts":
            signed = request.headers["X-Pingpost-Timestamp"].encode() + b"." + body
            expected = hmac.new(SECRET, signed, hashlib.sha256).hexdigest()
            assert request.headers["X-Pingpost-Signature"] == f"sha256={expected}"
        self.told.setdefault(request.path, []).append(orjson.loads(body))
        return web.Response()

    def events(self, path: str = "/alerts") -> list[str]:
        return [each["event"] for each in self.told.get(path, [])]


@dataclass
class Site:
    service: ServiceProcess
    session: aiohttp.ClientSession
    ear: Ear

    async def ask(self, call_id: str) -> dict[str, Any]:
        call = {"call_id": call_id, "campaign": "auto", "timeout_ms": 1500}
        async with self.session.post(f"{self.service.url}/v1/calls", json=call) as response:
            answer: dict[str, Any] = await response.json()
            return answer

    async def outcome(self, call_id: str) -> str:
        """What became of acme's ping."""
        async with self.session.get(f"{self.service.url}/v1/calls/{call_id}") as response:
            offers = (await response.json())["trace"]["offers"]
        [line] = [each for each in offers if each["offer"] == "acme-auto"]
        outcome: str = line["outcome"]
        return outcome

    async def alerts(self, which: str) -> list[dict[str, Any]]:
        """Those of the rule that watches for timeouts."""
        async with self.session.get(f"{self.service.url}/v1/alerts/{which}") as response:
            found = (await response.json())["alerts"]
        return [each for each in found if each["rule"] == "slow"]

    async def gauge(self) -> float:
        async with self.session.get(f"{self.service.ops_url}/metrics") as response:
            lines = (await response.text()).splitlines()
        [line] = [each for each in lines if each.startswith(_GAUGE)]
        return float(line.rpartition(" ")[2])


@asynccontextmanager
async def a_site(folder: Path, dsn: str) -> AsyncIterator[Site]:
    ear = Ear()
    application = web.Application()
    application.router.add_post("/{any:.*}", ear.hear)
    slow = {"latency_ms": {"distribution": "constant", "value": 400}}
    script = parse_script({"buyers": [{"name": "acme", "ping": {"bid": "50.00", **slow}}]})
    async with AsyncExitStack() as stack:
        runner = web.AppRunner(application)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ear.port = runner.addresses[0][1]
        buyers = await stack.enter_async_context(SimulatedBuyers(script, free_ports=True))
        file = folder / "marketplace.yaml"
        told = {"acme": buyers.url("acme"), "ear": f"http://127.0.0.1:{ear.port}"}
        file.write_text(MARKETPLACE.format(calls=CALLS, **told))
        environment = {"PINGPOST_DSN": dsn, "PINGPOST_SECRET_KEY": new_key()}
        service = await stack.enter_async_context(
            a_service(folder / "data", "--marketplace", str(file), environment=environment)
        )
        session = aiohttp.ClientSession(headers=AUTHORISED)
        yield Site(service, await stack.enter_async_context(session), ear)


async def later(database: Database, minutes: int) -> None:
    """What has happened so far lies so many minutes back, and it is time to look again."""
    async with database.connection() as connection:
        for statement in (
            "update report_minutes set bucket = bucket - $1 * interval '1 minute'",
            "update alert_states set since = since - $1 * interval '1 minute',"
            " paused_at = paused_at - $1 * interval '1 minute'",
            "update alert_turn set looked_at = looked_at - $1 * interval '1 minute'",
        ):
            await connection.execute(statement, minutes)


async def counted(database: Database) -> bool:
    async with database.connection() as connection:
        pinged = await connection.fetchval("select sum(pinged) from report_minutes")
    return bool(pinged == CALLS)


async def test_an_offer_whose_buyer_times_out_is_paused_told_of_and_tried_again(
    tmp_path: Path, dsn: str, database: Database
) -> None:
    async with a_site(tmp_path, dsn) as site:
        for number in range(CALLS):
            answer = await site.ask(f"{number}@switch")
            assert answer["offer"] == "cobalt-auto"
        assert await site.outcome("0@switch") == "timeout"
        await eventually(lambda: counted(database), within_s=20)

        await later(database, 1)
        await eventually(lambda: "alert.fired" in site.ear.events(), within_s=20)
        [fired] = await site.alerts("active")
        assert (fired["rule"], fired["subject"]) == ("slow", "offer:acme-auto")
        assert (fired["reading"], fired["phase"]) == (1.0, "firing")
        assert site.ear.told["/alerts"][0]["data"]["alert_id"] == fired["alert_id"]
        assert await site.gauge() == 1
        [cap] = site.ear.told["/caps"]
        assert (cap["event"], cap["data"]["subject"]) == ("alert.fired", "offer:cobalt-auto")
        await eventually(lambda: _is(site, "paused"), within_s=10)

        await later(database, 16)
        await eventually(lambda: site.ear.events("/escalations"), within_s=20)
        path = f"{site.service.url}/v1/alerts/{fired['alert_id']}/acknowledge"
        async with site.session.post(path) as response:
            assert (await response.json())["phase"] == "acknowledged"

        await later(database, 15)
        await eventually(lambda: "alert.resolved" in site.ear.events(), within_s=20)
        await eventually(lambda: _is(site, "timeout"), within_s=10)
        [over] = await site.alerts("history")
        assert (over["resolution"], over["pause"]) == ("pause_over", "resumed")
        assert site.ear.events() == ["alert.fired", "alert.resolved"]
        assert site.ear.events("/escalations") == ["alert.escalated", "alert.resolved"]


_asked = iter(range(100, 1000))


async def _is(site: Site, outcome: str) -> bool:
    """Whether a new call finds acme so."""
    call_id = f"{next(_asked)}@switch"
    await site.ask(call_id)
    return await site.outcome(call_id) == outcome
