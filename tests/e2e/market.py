"""A marketplace whose every offer has another kind of limit; buyers that remember their posts."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import yaml

from buyers.simulator.script import parse_script
from buyers.simulator.server import SimulatedBuyers
from tests.postgres_cluster import DatabaseServer

BIDS = {"acme": "52.00", "beacon": "40.00", "cobalt": "30.00"}
LIMITS = {"acme": 60, "beacon": 30, "cobalt": 25, "dial": 50}
"""Calls that each offer takes: by a cap on calls, by a budget, by concurrency, by a cap, static."""

_MOST_REQUESTS = 20_000
_USED = """
    select jsonb_object_agg(offer, calls) from (
        select offer, count(*) as calls from reservations
        where state <> 'released' and offer like $1 group by offer
    ) as held
"""


@asynccontextmanager
async def remembering_buyers(host: str) -> AsyncIterator[SimulatedBuyers]:
    """Buyers that take every post and keep all requests."""
    latency = {"distribution": "constant", "value": 20}
    script = {
        "seed": 7,
        "host": host,
        "buyers": [
            {
                "name": name,
                "port": 0,
                "record": _MOST_REQUESTS,
                "ping": {"bid": bid, "latency_ms": latency},
                "post": {"latency_ms": latency},
            }
            for name, bid in BIDS.items()
        ],
    }
    async with SimulatedBuyers(parse_script(script), free_ports=True) as buyers:
        yield buyers


def marketplace(campaigns: Iterable[str], buyers: SimulatedBuyers, host: str) -> str:
    """The marketplace file: each campaign has four buyers of its own with one offer each."""
    names = list(campaigns)
    limits: dict[str, dict[str, Any]] = {
        "acme": {"caps": [{"measure": "calls", "per": "total", "limit": LIMITS["acme"]}]},
        "beacon": {
            "caps": [{"measure": "revenue", "per": "total", "limit": LIMITS["beacon"] * 40}]
        },
        "cobalt": {"concurrency": LIMITS["cobalt"]},
        "dial": {"caps": [{"measure": "calls", "per": "total", "limit": LIMITS["dial"]}]},
    }
    return yaml.safe_dump(
        {
            "campaigns": [
                {"id": name, "name": name, "auction": {"budget_ms": 2000}} for name in names
            ],
            "buyers": [
                {
                    "id": f"{buyer}-{name}",
                    "name": f"{buyer} {name}",
                    # A limit on calls is the buyer's here, the others are the offer's.
                    **(limit if buyer == "acme" else {}),
                    "offers": [
                        {
                            "id": f"{buyer}-{name}",
                            "campaign": name,
                            "destination": {"uri": f"sip:{buyer}@{buyer}.example"},
                            **({} if buyer == "acme" else limit),
                            **_how(buyer, buyers, host),
                        }
                    ],
                }
                for name in names
                for buyer, limit in limits.items()
            ],
        }
    )


def _how(buyer: str, buyers: SimulatedBuyers, host: str) -> dict[str, Any]:
    if buyer not in BIDS:
        return {"static_price": 18}
    url = f"http://{host}:{buyers.port(buyer)}"
    return {
        "ping_post": {
            "minimum_bid": 10,
            "ping": {"url": f"{url}/ping", "timeout_ms": 2000},
            "post": {"url": f"{url}/post", "timeout_ms": 2000, "idempotent": True},
        }
    }


def a_call(campaign: str, number: int, timeout_ms: int = 4_000) -> dict[str, Any]:
    """A call of its own caller."""
    return {
        "call_id": f"{campaign}-{number}@switch",
        "campaign": campaign,
        "caller_id": caller_of(campaign, number),
        "timeout_ms": timeout_ms,
    }


def caller_of(campaign: str, number: int) -> str:
    """The caller's number; each campaign has an area code to itself."""
    return f"+1{('213', '310', '415', '212', '305')[len(campaign) % 5]}555{number:04}"


def routes(answers: Iterable[bytes]) -> Counter[str]:
    """How many calls were routed to each offer; those without a route under ``no_route``."""
    decisions = [json.loads(answer) for answer in answers]
    return Counter(each["offer"] or each["action"] for each in decisions)


def decisions(campaign: str, answers: Iterable[tuple[int, bytes]]) -> dict[str, Any]:
    """What was decided about each caller."""
    return {caller_of(campaign, number): json.loads(answer) for number, answer in answers}


def pings(buyers: SimulatedBuyers) -> dict[str, set[str]]:
    """Of each buyer, the ping ids that it was asked by."""
    return {
        name: {
            json.loads(request.body)["ping_id"]
            for request in buyers.buyer(name).requests
            if request.path == "/ping"
        }
        for name in BIDS
    }


async def held(server: DatabaseServer, database: str, campaign: str) -> Counter[str]:
    """What the database holds of the offers of a campaign."""
    text = await server.value(_USED, f"%-{campaign}", database=database)
    return Counter(json.loads(str(text)))
