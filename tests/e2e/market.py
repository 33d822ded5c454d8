"""A marketplace whose every offer has another kind of limit; buyers that remember their posts."""

import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import yaml

from buyers.simulator.script import parse_script
from buyers.simulator.server import SimulatedBuyers
from tests.e2e.machines import PatientSwitch
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


def sales(buyers: SimulatedBuyers) -> dict[str, set[tuple[str, str]]]:
    """Of each caller, who took a post about it, and under which post id."""
    taken: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for name in BIDS:
        for request in buyers.buyer(name).requests:
            if request.path == "/post":
                body = json.loads(request.body)
                taken[body["caller_id"]].add((name, body["post_id"]))
    return taken


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


async def sold_otherwise(
    campaign: str,
    answers: Iterable[tuple[int, bytes]],
    buyers: SimulatedBuyers,
    switch: PatientSwitch,
) -> list[str]:
    """Calls of which buyers know something else than what was answered: nobody, or several.

    A post of a decider that died may have been accepted without our knowledge: where there is no
    time to repeat it, its buyer is ``post_unknown`` in the trace, which settles it.
    """
    taken = sales(buyers)
    wrong = []
    for number, answer in answers:
        decision = json.loads(answer)
        posts = taken.get(caller_of(campaign, number), set())
        sold = decision["routed_by"] == "auction"
        wanted = [decision["buyer"].partition("-")[0]] if sold else []
        if sorted(name for name, _ in posts) == wanted:
            continue
        unknown = await _unknown_posts(decision["call_id"], switch)
        if [name for name, _ in posts if name not in unknown] != wanted:
            wrong.append(f"{decision['call_id']} to {decision['buyer']}, posts {sorted(posts)}")
    return wrong


async def _unknown_posts(call_id: str, switch: PatientSwitch) -> set[str]:
    async with switch.session.get(f"{switch.url}/v1/calls/{call_id}") as reply:
        offers = (await reply.json())["trace"]["offers"]
    return {each["offer"].partition("-")[0] for each in offers if each["outcome"] == "post_unknown"}


async def held(server: DatabaseServer, database: str, campaign: str) -> Counter[str]:
    """What the database holds of the offers of a campaign."""
    text = await server.value(_USED, f"%-{campaign}", database=database)
    return Counter(json.loads(str(text)))
