"""Two services on one database: one answer per call, caps shared, whoever is asked."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest_asyncio

from buyers.simulator.server import SimulatedBuyers
from tests.selling import a_market, on
from tests.service_process import ServiceProcess, Switch, a_service, a_switch

MARKETPLACE = """
campaigns:
  - {{id: auto, name: Auto, numbers: ["+18005550100"]}}
buyers:
  - id: acme
    name: Acme
    concurrency: 9
    caps: [{{measure: revenue, per: day, limit: 400}}]
    offers:
      - id: acme-auto
        campaign: auto
        destination: {{uri: "sip:a@acme.example"}}
        caps: [{{measure: calls, per: day, limit: 7}}]
        ping_post:
          minimum_bid: 10
          ping: {{url: "{acme}/ping", timeout_ms: 2000}}
          post: {{url: "{acme}/post", timeout_ms: 2000}}
  - id: cobalt
    name: Cobalt
    offers:
      - id: cobalt-auto
        campaign: auto
        destination: {{uri: "tel:+18885550142"}}
        static_price: 18
"""

Pair = tuple[ServiceProcess, ServiceProcess, SimulatedBuyers, Switch]


@pytest_asyncio.fixture
async def pair(tmp_path: Path, dsn: str) -> AsyncIterator[Pair]:
    script = {"buyers": [{"name": "acme", "ping": {"bid": "50.00"}}]}
    environment = on(dsn)
    async with AsyncExitStack() as stack:
        market = a_market(tmp_path, script, MARKETPLACE)
        buyers, path = await stack.enter_async_context(market)
        services = [
            await stack.enter_async_context(
                a_service(tmp_path / name, "--marketplace", str(path), environment=environment)
            )
            for name in ("one", "two")
        ]
        switch = await stack.enter_async_context(a_switch())
        yield services[0], services[1], buyers, switch


def a_call(number: int) -> dict[str, Any]:
    return {
        "call_id": f"{number}@switch",
        "campaign": "auto",
        "caller_id": f"+1310555{number:04}",
        "timeout_ms": 8000,
    }


async def test_the_same_call_asked_of_both_gets_one_answer_one_ping_and_one_post(
    pair: Pair,
) -> None:
    one, two, buyers, switch = pair
    answers = await asyncio.gather(
        *(switch.route(service, **a_call(1)) for service in (one, two, one, two))
    )
    assert all(answer == answers[0] for answer in answers)
    counts = buyers.buyer("acme").counts
    assert (counts.pings, counts.posts) == (1, 1)


async def test_caps_hold_over_both_services(pair: Pair) -> None:
    one, two, _, switch = pair
    answers = await asyncio.gather(
        *(switch.route((one, two)[number % 2], **a_call(number)) for number in range(40))
    )
    assert Counter(answer["offer"] for answer in answers) == {"acme-auto": 7, "cobalt-auto": 33}


async def test_an_answer_given_by_one_is_found_by_the_other_after_kill_9(pair: Pair) -> None:
    one, two, _, switch = pair
    before = await switch.route(one, **a_call(1))
    await one.kill()
    assert await switch.route(two, **a_call(1)) == before
