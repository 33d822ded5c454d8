"""What buyers know of calls, beside what was answered."""

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import aiohttp

from buyers.simulator.server import SimulatedBuyers


async def sold_otherwise(
    answers: Mapping[str, Mapping[str, Any]],
    buyers: SimulatedBuyers,
    session: aiohttp.ClientSession,
    url: str,
) -> list[str]:
    """Calls, by their callers, of which buyers know something else than what was answered.

    A post of a decider that died may have been accepted without our knowledge: where there is no
    time to repeat it, its buyer is ``post_unknown`` in the trace, which settles it.
    """
    taken = sales(buyers)
    wrong = []
    for caller, decision in answers.items():
        posts = taken.get(caller, set())
        sold = decision["routed_by"] == "auction"
        wanted = [_buyer(decision["buyer"])] if sold else []
        if sorted(name for name, _ in posts) == wanted:
            continue
        unknown = await _unknown_posts(decision["call_id"], session, url)
        if [name for name, _ in posts if name not in unknown] != wanted:
            wrong.append(f"{decision['call_id']} to {decision['buyer']}, posts {sorted(posts)}")
    return wrong


def sales(buyers: SimulatedBuyers) -> dict[str, set[tuple[str, str]]]:
    """Of each caller, who took a post about it, and under which post id."""
    taken: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for name in buyers.names:
        for request in buyers.buyer(name).requests:
            if request.path == "/post":
                body = json.loads(request.body)
                taken[body["caller_id"]].add((name, body["post_id"]))
    return taken


async def _unknown_posts(call_id: str, session: aiohttp.ClientSession, url: str) -> set[str]:
    async with session.get(f"{url}/v1/calls/{call_id}") as reply:
        offers = (await reply.json())["trace"]["offers"]
    return {_buyer(each["offer"]) for each in offers if each["outcome"] == "post_unknown"}


def _buyer(of_campaign: str) -> str:
    """The simulated buyer behind a buyer or an offer of ours, whose campaign follows its name."""
    return of_campaign.partition("-")[0]
