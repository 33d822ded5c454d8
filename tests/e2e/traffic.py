"""Auctions that keep coming while something is done to the services."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import yaml

from buyers.simulator.script import parse_script
from buyers.simulator.server import SimulatedBuyers
from tests.e2e.report import Report
from tests.e2e.sales import sales, sold_otherwise
from tests.eventually import eventually
from tests.service_process import AUTHORISED

CALLERS = 6
PAUSE_S = 0.02
RETRIES = 10
ANSWERED_WITHIN_S = 10.0
MEANWHILE = 60
CAP = MEANWHILE + MEANWHILE // 2
BIDS = {"acme": "52.00", "beacon": "40.00"}
"""The first bids more, for ``CAP`` calls of a campaign; the second takes all others."""

ACME_TOKEN = "a$b#c"
"""A secret that some files would read as something else; no service knows it by itself."""

_AREA_CODES = ("213", "310", "415", "212", "305")
_MOST_REQUESTS = 50_000
_MOST_CALLS_OF_A_CALLER = 100_000


@asynccontextmanager
async def selling_buyers(host: str) -> AsyncIterator[SimulatedBuyers]:
    """Buyers that take every post and keep all requests; the first wants its token.

    A post takes the most of a call, so that who is killed leaves some of which nobody knows.
    """
    ping, post = (
        {"latency_ms": {"distribution": "constant", "value": value}} for value in (50, 350)
    )
    wanted = {"acme": {"auth": {"type": "bearer", "token": ACME_TOKEN}}}
    buyers = [
        {
            "name": name,
            "record": _MOST_REQUESTS,
            "ping": {"bid": bid, **ping},
            "post": post,
            **wanted.get(name, {}),
        }
        for name, bid in BIDS.items()
    ]
    script = parse_script({"host": host, "buyers": buyers})
    async with SimulatedBuyers(script, free_ports=True) as running:
        yield running


def marketplace(campaigns: Iterable[str], buyers: SimulatedBuyers) -> str:
    """The marketplace file: each campaign has both buyers, and a number for when neither buys."""
    offers: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for campaign in campaigns:
        for buyer in BIDS:
            offers[buyer].append(_offer(buyer, campaign, buyers.urls[buyer]))
        offers["cobalt"].append({**_terms("cobalt", campaign), "static_price": 18})
    return yaml.safe_dump(
        {
            "campaigns": [{"id": each, "name": each} for each in campaigns],
            "buyers": [
                {"id": buyer, "name": buyer, "offers": of_it} for buyer, of_it in offers.items()
            ],
        }
    )


def _offer(buyer: str, campaign: str, url: str) -> dict[str, Any]:
    terms, auth = _terms(buyer, campaign), {}
    if buyer == "acme":
        terms["caps"] = [{"measure": "calls", "per": "total", "limit": CAP}]
        auth = {"auth": {"type": "bearer", "token": {"env": "ACME_TOKEN"}}}
    asked = {
        part: {"url": f"{url}/{part}", "timeout_ms": 2000, **auth} for part in ("ping", "post")
    }
    return {**terms, "ping_post": {"minimum_bid": 10, **asked}}


def _terms(buyer: str, campaign: str) -> dict[str, Any]:
    destination = {"uri": f"sip:{buyer}@{buyer}.example"}
    return {"id": f"{buyer}-{campaign}", "campaign": campaign, "destination": destination}


@dataclass(slots=True)
class Traffic:
    """Calls of a campaign that keep coming; ``number`` tells its callers from others'.

    What is not answered by 200 is asked again a second later, as a switch would. The first buyer
    has room for calls before, during and after what is done to the services after ``MEANWHILE``.
    """

    url: str
    campaign: str
    number: int
    statuses: Counter[int] = field(default_factory=Counter)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By caller; empty for who got none."""

    broken: int = 0
    over: bool = False

    async def run(self) -> None:
        """Ask until it is over."""
        limit = aiohttp.ClientTimeout(total=ANSWERED_WITHIN_S)
        async with aiohttp.ClientSession(headers=AUTHORISED, timeout=limit) as session:
            await asyncio.gather(*(self._caller(session, caller) for caller in range(CALLERS)))

    async def more(self, count: int = MEANWHILE) -> None:
        """Wait for so many calls to be answered from now on."""
        wanted = self.statuses[200] + count
        await eventually(lambda: self.statuses[200] >= wanted, within_s=60, every_s=0.05)

    @property
    def sold(self) -> Counter[str]:
        """How many calls each buyer was answered for; those without a route under ``nobody``."""
        return Counter(answer.get("buyer") or "nobody" for answer in self.answers.values())

    def compare_all_as_ever(self, report: Report, buyers: SimulatedBuyers) -> None:
        """Nobody has noticed anything: each call was sold by auction, at once, and once."""
        report.fact("calls meanwhile", len(self.answers))
        report.equal("statuses", {200}, set(self.statuses))
        report.equal("connections that broke", 0, self.broken)
        wanted = {"acme": CAP, "beacon": len(self.answers) - CAP}
        report.equal("calls sold to each", wanted, dict(self.sold))
        report.equal("posts that each took", wanted, dict(self._taken(buyers)))

    async def compare_each_sold_once(self, report: Report, buyers: SimulatedBuyers) -> None:
        """Some were asked again; all are routed, each to who bought it, the cap full, not over.

        Who decided died with at most a call of each caller: those alone may have missed an auction.
        """
        async with aiohttp.ClientSession(headers=AUTHORISED) as session:
            for number in range(CALLERS):
                # What was held for calls under way may have come free after the last of them.
                await self._call(session, CALLERS, number)
            answered = {caller: answer for caller, answer in self.answers.items() if answer}
            wrong = await sold_otherwise(answered, buyers, session, self.url)
        report.fact("calls meanwhile", len(self.answers))
        report.fact("calls without an auction", self.sold["cobalt"])
        bought = sum(self.sold[name] for name in BIDS)
        report.fact("posts that nobody heard of again", self._taken(buyers).total() - bought)
        report.fact("asked again", self.broken + self.statuses.total() - self.statuses[200])
        report.equal("other statuses", set(), set(self.statuses) - {200, 502, 503, 504})
        report.equal("calls that nobody was found for", 0, self.sold["nobody"])
        report.equal("calls sold twice, or to another than answered", [], wrong)
        report.equal("calls sold to the one with a cap", CAP, self.sold["acme"])
        report.equal(
            f"calls without an auction, beyond {CALLERS}", 0, max(0, self.sold["cobalt"] - CALLERS)
        )

    def _taken(self, buyers: SimulatedBuyers) -> Counter[str]:
        """How many posts about callers of ours each buyer has taken."""
        ours = ((who, by) for who, by in sales(buyers).items() if who.startswith(self._prefix))
        return Counter(name for _, by in ours for name, _ in by)

    @property
    def _prefix(self) -> str:
        return f"+1{_AREA_CODES[self.number]}"

    async def _caller(self, session: aiohttp.ClientSession, caller: int) -> None:
        number = 0
        while not self.over:
            number += 1
            await self._call(session, caller, number)
            # Each at a pace of its own: they are not all asked about at once.
            await asyncio.sleep(PAUSE_S * (1 + caller))

    async def _call(self, session: aiohttp.ClientSession, caller: int, number: int) -> None:
        caller_id = f"{self._prefix}{2_000_000 + caller * _MOST_CALLS_OF_A_CALLER + number}"
        call = {
            "call_id": f"{caller}-{number}@{self.campaign}",
            "campaign": self.campaign,
            "caller_id": caller_id,
            "timeout_ms": 4000,
        }
        self.answers[caller_id] = {}
        for _ in range(RETRIES):
            if await self._ask(session, call) == 200:
                break
            await asyncio.sleep(1)

    async def _ask(self, session: aiohttp.ClientSession, call: dict[str, Any]) -> int:
        try:
            async with session.post(f"{self.url}/v1/calls", json=call) as response:
                self.statuses[response.status] += 1
                if response.status == 200:
                    self.answers[call["caller_id"]] = await response.json()
                return response.status
        except (aiohttp.ClientError, TimeoutError):
            self.broken += 1
            return 0


@asynccontextmanager
async def traffic_at(url: str, campaign: str, number: int) -> AsyncIterator[Traffic]:
    """Calls from now on; at the end each of them was answered, or given up after ``RETRIES``."""
    traffic = Traffic(url, campaign, number)
    running = asyncio.create_task(traffic.run())
    try:
        yield traffic
    finally:
        traffic.over = True
        await running
