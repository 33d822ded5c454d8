"""A change by the API is in force in every process everywhere; calls in flight keep theirs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest_asyncio

from buyers.simulator.script import parse_script
from buyers.simulator.server import SimulatedBuyers
from config.secret_box import new_key
from tests.eventually import eventually
from tests.service_process import ServiceProcess, Switch, a_service, a_switch

MARKETPLACE = """
campaigns:
  - {{id: auto, numbers: ["+18005550100"]}}
buyers:
  - id: acme
    offers:
      - id: acme-auto
        campaign: auto
        destination: {{uri: "sip:a@acme.example"}}
        ping_post:
          minimum_bid: 10
          ping: {{url: "{url}/ping", timeout_ms: 5000}}
  - id: cobalt
    offers:
      - id: cobalt-auto
        campaign: auto
        destination: {{uri: "tel:+18885550142"}}
        static_price: 18
"""
WITHIN_S = 1.0
POOL = {"campaign": "auto", "numbers": ["+18005550180"], "fallback_number": "+18005550182"}
OFFER = {
    "buyer": "cobalt",
    "campaign": "auto",
    "destination": {"uri": "tel:+18885550143"},
    "static_price": 9,
}

Pair = tuple[ServiceProcess, ServiceProcess, SimulatedBuyers, Switch]


@pytest_asyncio.fixture
async def pair(tmp_path: Path, dsn: str) -> AsyncIterator[Pair]:
    """Two machines on one database, the second with two workers."""
    slow = {"distribution": "constant", "value": 600}
    script = parse_script({"buyers": [{"name": "acme", "ping": {"bid": 50, "latency_ms": slow}}]})
    environment = {"PINGPOST_DSN": dsn, "PINGPOST_SECRET_KEY": new_key()}
    async with AsyncExitStack() as stack:
        buyers = await stack.enter_async_context(SimulatedBuyers(script, free_ports=True))
        path = tmp_path / "marketplace.yaml"
        path.write_text(MARKETPLACE.format(url=buyers.url("acme")))
        services = [
            await stack.enter_async_context(
                a_service(
                    tmp_path / name,
                    *("--marketplace", str(path), "--workers", workers),
                    environment=environment,
                )
            )
            for name, workers in (("one", "1"), ("two", "2"))
        ]
        yield services[0], services[1], buyers, await stack.enter_async_context(a_switch())


async def route(switch: Switch, service: ServiceProcess, call_id: str) -> str | None:
    call = {"campaign": "auto", "caller_id": "anonymous", "timeout_ms": 9000}
    offer: str | None = (await switch.route(service, call_id=call_id, **call))["offer"]
    return offer


async def route_anew(service: ServiceProcess, call_id: str) -> str | None:
    """Over a connection of its own, so that either worker may get it."""
    async with a_switch() as switch:
        return await route(switch, service, call_id)


async def test_changes_are_in_force_everywhere_and_calls_in_flight_keep_their_marketplace(
    pair: Pair,
) -> None:
    one, two, buyers, switch = pair
    in_flight = [
        asyncio.create_task(route_anew(service, f"early-{number}"))
        for number, service in enumerate((one, two, two, two))
    ]
    await eventually(lambda: buyers.buyer("acme").counts.pings == len(in_flight))
    url = f"{one.url}/v1/offers/acme-auto/pause"
    async with switch.session.post(url) as response:
        assert response.status == 200
    # A time is what is promised.
    await asyncio.sleep(WITHIN_S)
    late = [route_anew(service, f"late-{n}") for n in range(6) for service in (one, two)]
    assert set(await asyncio.gather(*late)) == {"cobalt-auto"}
    assert await asyncio.gather(*in_flight) == ["acme-auto"] * len(in_flight)
    await resumes_on_time(one, two, switch)


async def resumes_on_time(one: ServiceProcess, two: ServiceProcess, switch: Switch) -> None:
    """One of the processes applies a scheduled change, once, and all take it up."""
    at = (datetime.now(UTC) + timedelta(seconds=0.3)).isoformat().replace("+00:00", "Z")
    url = f"{one.url}/v1/offers/acme-auto"
    async with switch.session.patch(
        url, params={"effective_at": at}, json={"enabled": True}
    ) as response:
        assert response.status == 202
        waiting: dict[str, Any] = await response.json()

    async def applied() -> dict[str, Any] | None:
        path = f"{two.url}/v1/scheduled-changes/{waiting['id']}"
        async with switch.session.get(path) as response:
            found: dict[str, Any] = await response.json()
        return found if found["state"] == "applied" else None

    done = await eventually(applied)
    assert done is not None
    assert done["revision"] == 3

    async def in_force() -> bool:
        asked = [route_anew(each, f"{uuid4()}") for each in (one, two, two)]
        offers = await asyncio.gather(*asked)
        return set(offers) == {"acme-auto"}

    assert await eventually(in_force)
    async with switch.session.get(url) as response:
        assert response.headers["Etag"] == '"3"'


async def test_pages_of_offers_show_what_was_just_changed(pair: Pair) -> None:
    one, two, _, switch = pair
    for number, service in enumerate((one, two, two, one), start=1):
        patch = {"concurrency": 10 * number}
        async with switch.session.patch(f"{one.url}/v1/offers/cobalt-auto", json=patch) as response:
            assert response.status == 200
        async with switch.session.get(f"{service.url}/v1/offers/cobalt-auto/usage") as response:
            shown = await response.json()
        assert [each["limit"] for each in shown["concurrency"]] == [10 * number]


async def test_what_was_just_made_is_found_at_once(pair: Pair) -> None:
    """By whichever process is asked: what is stored and not in force yet is waited for."""
    one, two, _, switch = pair
    made = {
        "/v1/campaigns/home": ({}, "GET", "/coverage", None),
        "/v1/suppressions/stop": ({}, "POST", "/numbers", "+13105550199\n"),
        "/v1/pools/page": (POOL, "POST", "/lease", '{"session_id": "v1"}'),
        "/v1/offers/late-auto": (OFFER, "GET", "/usage", None),
    }
    for number, (path, (content, method, below, body)) in enumerate(made.items()):
        async with switch.session.put(one.url + path, json=content) as response:
            assert response.status == 201, await response.text()
        asked = (one, two)[number % 2].url + path + below
        kind = {"Content-Type": "text/plain" if below == "/numbers" else "application/json"}
        async with switch.session.request(method, asked, data=body, headers=kind) as response:
            assert response.status == 200, (path, await response.text())
