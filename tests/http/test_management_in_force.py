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

Pair = tuple[ServiceProcess, ServiceProcess, SimulatedBuyers, Switch]


@pytest_asyncio.fixture
async def pair(tmp_path: Path, dsn: str) -> AsyncIterator[Pair]:
    """Two machines on one database, the second with two workers."""
    slow = {"distribution": "constant", "value": 1000}
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


async def test_a_change_is_in_force_everywhere_and_calls_in_flight_keep_their_marketplace(
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


async def test_a_scheduled_change_is_applied_by_any_of_the_processes_once(pair: Pair) -> None:
    one, two, _, switch = pair
    at = (datetime.now(UTC) + timedelta(seconds=0.3)).isoformat().replace("+00:00", "Z")
    url = f"{one.url}/v1/offers/acme-auto"
    async with switch.session.patch(
        url, params={"effective_at": at}, json={"enabled": False}
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
    assert done["revision"] == 2

    async def in_force() -> bool:
        offers = [await route_anew(each, f"{uuid4()}") for each in (one, two, two)]
        return set(offers) == {"cobalt-auto"}

    assert await eventually(in_force)
    async with switch.session.get(url) as response:
        assert response.headers["Etag"] == '"2"'
