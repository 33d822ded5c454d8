"""Buyers that fail are left alone, and calls that are too many get their answer all the same."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from buyers.simulator.server import SimulatedBuyers
from tests.eventually import eventually
from tests.selling import a_market, on
from tests.service_process import ServiceProcess, Switch, a_service, a_switch

MARKETPLACE = """
campaigns:
  - {{id: auto, name: Auto}}
  - {{id: bids-only, name: Bids only}}
buyers:
  - id: acme
    name: Acme
    offers:
      - id: acme-auto
        campaign: auto
        destination: {{uri: "sip:a@acme.example"}}
        ping_post:
          breaker: {{minimum_pings: 3, open_s: 3, probes: 2, trickle: "0.01"}}
          ping: {{url: "{acme}/ping", timeout_ms: 400}}
          post: {{url: "{acme}/post", timeout_ms: 2000}}
      - id: acme-bids
        campaign: bids-only
        destination: {{uri: "sip:a@acme.example"}}
        ping_post: {{ping: {{url: "{gate}/", timeout_ms: 6000}}}}
  - id: beacon
    name: Beacon
    offers:
      - id: beacon-auto
        campaign: auto
        destination: {{uri: "sip:b@beacon.example"}}
        ping_post:
          breaker: {{minimum_pings: 3, shadow: true}}
          ping: {{url: "{beacon}/ping", timeout_ms: 400}}
  - id: cobalt
    name: Cobalt
    offers:
      - id: cobalt-auto
        campaign: auto
        destination: {{uri: "tel:+18885550142"}}
        static_price: 18
"""
HANGS = {"behaviours": {"hang": 1}}
WELL = {"bid": "50.00", "behaviours": {"bid": 1}}
SCRIPT = {
    "buyers": [
        {"name": "acme", "ping": HANGS},
        {"name": "beacon", "ping": HANGS},
    ]
}


@dataclass
class Gate:
    """A buyer that says no as soon as it is released."""

    url: str = ""
    asked: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection; some are opened before anything is asked."""
        with suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            self.asked += 1
            await self.released.wait()
            writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        writer.close()


@asynccontextmanager
async def a_gate() -> AsyncIterator[Gate]:
    """A gate on a free port."""
    gate = Gate()
    async with await asyncio.start_server(gate.answer, "127.0.0.1", 0) as server:
        gate.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield gate


@asynccontextmanager
async def a_scene(
    folder: Path, dsn: str, *, gate: str = "http://127.0.0.1:1", **settings: str
) -> AsyncIterator[tuple[ServiceProcess, SimulatedBuyers, Switch]]:
    """A service whose buyers all hang."""
    async with a_market(folder, SCRIPT, MARKETPLACE, gate=gate) as (buyers, path):
        environment, arguments = on(dsn, **settings), ("--marketplace", str(path))
        async with (
            a_service(folder / "data", *arguments, environment=environment) as service,
            a_switch() as switch,
        ):
            yield service, buyers, switch


async def metric(service: ServiceProcess, switch: Switch, series: str) -> float:
    async with switch.session.get(f"{service.ops_url}/metrics") as response:
        lines = (await response.text()).splitlines()
    return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{series} "))


async def entry(
    service: ServiceProcess, switch: Switch, call_id: str, offer: str
) -> dict[str, Any]:
    record = await switch.record(service, call_id)
    found: dict[str, Any] = next(
        each for each in record["trace"]["offers"] if each["offer"] == offer
    )
    return found


async def test_a_buyer_that_hangs_is_left_alone_is_probed_and_recovers(
    tmp_path: Path, dsn: str
) -> None:
    async with a_scene(tmp_path, dsn) as (service, buyers, switch):

        async def route(number: int) -> dict[str, Any]:
            return await switch.route(service, call_id=f"c-{number}", campaign="auto")

        numbers = count(10)
        acme, beacon = (
            f'pingpost_breaker_state{{offer="{name}-auto"}}' for name in ("acme", "beacon")
        )

        async def are_open() -> bool:
            await asyncio.gather(*(route(next(numbers)) for _ in range(3)))
            return [await metric(service, switch, each) for each in (acme, beacon)] == [2, 2]

        # More than once: timeouts that a busy machine notices late are not blamed on the buyer.
        await eventually(are_open, within_s=20)
        pings = buyers.buyer("acme").counts.pings
        assert (await route(3))["offer"] == "cobalt-auto"
        assert buyers.buyer("acme").counts.pings == pings
        held = 'pingpost_pings_total{offer="acme-auto",outcome="breaker_open"}'
        assert await metric(service, switch, held) >= 1
        line = await entry(service, switch, "c-3", "acme-auto")
        assert (line["code"], line["detail"][:6]) == (210, "open: ")

        shadow = await entry(service, switch, "c-3", "beacon-auto")
        assert (shadow["outcome"], shadow["shadow"][:20]) == ("timeout", "breaker_open, open: ")
        counted = 'pingpost_shadow_held_back_total{offer="beacon-auto",reason="breaker_open"}'
        assert await metric(service, switch, counted) >= 1

        buyers.change("acme", ping=WELL)

        async def recovered() -> bool:
            won = (await route(next(numbers)))["offer"] == "acme-auto"
            return won and await metric(service, switch, acme) == 0

        assert await eventually(recovered, within_s=15)


async def test_calls_beyond_the_limits_go_static_and_then_get_503_which_binds_nothing(
    tmp_path: Path, dsn: str
) -> None:
    limits = {
        "PINGPOST_OVERLOAD_STATIC_CALLS": "1",
        "PINGPOST_OVERLOAD_REFUSE_CALLS": "2",
    }
    async with (
        a_gate() as gate,
        a_scene(tmp_path, dsn, gate=gate.url, **limits) as (service, buyers, switch),
    ):
        first = {"call_id": "c-1", "campaign": "bids-only", "timeout_ms": 8000}
        waiting = [asyncio.create_task(switch.route(service, **first))]
        await eventually(lambda: gate.asked == 1)

        hurried = await switch.route(service, call_id="c-2", campaign="auto")
        assert (hurried["offer"], hurried["routed_by"]) == ("cobalt-auto", "static")
        line = await entry(service, switch, "c-2", "acme-auto")
        assert (line["outcome"], line["code"]) == ("overloaded", 216)
        assert buyers.buyer("acme").counts.pings == 0

        second = {**first, "call_id": "c-3"}
        waiting.append(asyncio.create_task(switch.route(service, **second)))
        await eventually(lambda: gate.asked == 2)
        refused = {**first, "call_id": "c-4"}
        async with switch.session.post(f"{service.url}/v1/calls", json=refused) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "1")
            assert response.content_type == "application/problem+json"
        assert await metric(service, switch, "pingpost_overload_level") == 2
        calls = "pingpost_overloaded_calls_total"
        assert await metric(service, switch, f'{calls}{{outcome="static"}}') == 1
        assert await metric(service, switch, f'{calls}{{outcome="refused"}}') == 1

        repeated = await switch.route(service, call_id="c-2", campaign="auto")
        assert repeated == hurried
        event = {"call_id": "c-2", "event_id": "e", "type": "ended", "at": "2026-11-21T18:00:00Z"}
        assert await switch.report(service, **event) == 200

        gate.released.set()
        assert [(await each)["action"] for each in waiting] == ["no_route"] * 2
        other_content = {**refused, "caller_id": "+13105551234"}
        decided = await switch.route(service, **other_content)
        assert decided["reason"] == "no_bid_and_no_static"

        async def calm() -> bool:
            return await metric(service, switch, "pingpost_overload_level") == 0

        await eventually(calm)
