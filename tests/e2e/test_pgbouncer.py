"""A marketplace behind the real PgBouncer, by the session and by the transaction."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from itertools import cycle
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp
import asyncpg
import pytest

from buyers.simulator.server import SimulatedBuyers
from config.poolers import Pooler
from storage.database import Database
from storage.errors import PoolerError
from tests.e2e.pgbouncer import PgBouncer, a_pgbouncer
from tests.e2e.report import Report
from tests.eventually import eventually
from tests.http.test_webhook_delivery import Receiver, receiving
from tests.selling import a_market, on
from tests.service_process import ServiceProcess, Switch, a_service, a_switch

IN_FORCE_WITHIN_S = 3.0
AT_ONCE = 30
EXTRA = 5
SHARED = 5
"""Server connections by the transaction, fewer than the services have of PgBouncer's."""

MARKETPLACE = """
campaigns:
  - id: auto
    name: Auto
    numbers: ["+18005550100"]
    auction: {{budget_ms: 8000}}
    payouts: [{{source: "*", trigger: answered, amount: "9.00"}}]
    webhooks:
      - {{id: crm, url: "{hook}", events: [call.routed], secret: whsec-0123456789}}
buyers:
  - id: acme
    name: Acme
    offers:
      - id: acme-auto
        campaign: auto
        destination: {{uri: "sip:a@acme.example"}}
        caps: [{{measure: calls, per: month, limit: {cap}}}]
        conversions: [{{trigger: answered}}]
        ping_post:
          minimum_bid: 10
          ping: {{url: "{acme}/ping", timeout_ms: 5000}}
          post: {{url: "{acme}/post", timeout_ms: 5000}}
  - id: cobalt
    name: Cobalt
    offers:
      - id: cobalt-auto
        campaign: auto
        destination: {{uri: "tel:+18885550142"}}
        static_price: 18
        conversions: [{{trigger: answered}}]
alerts:
  - {{id: full, offer: acme-auto, measure: cap_used_ratio, at_least: "0.9"}}
"""

SERVER_CONNECTIONS = """
    select count(*) from pg_stat_activity
    where backend_type = 'client backend' and pid <> pg_backend_pid()
"""

Answer = dict[str, Any]


@dataclass(slots=True)
class Site:
    """Two services, the first of two workers, their buyer and their subscriber."""

    services: tuple[ServiceProcess, ServiceProcess]
    buyers: SimulatedBuyers
    subscriber: Receiver
    switch: Switch

    async def route(self, numbers: Iterable[int]) -> dict[int, Answer]:
        """What becomes of these calls, asked of both in turn, many at once."""
        places = asyncio.Semaphore(AT_ONCE)

        async def one(number: int, service: ServiceProcess) -> tuple[int, Answer]:
            async with places:
                return number, await self.switch.route(service, **a_call(number))

        asked = zip(numbers, cycle(self.services))
        return dict(await asyncio.gather(*(one(number, service) for number, service in asked)))

    async def report(self, answers: dict[int, Answer]) -> set[int]:
        """The statuses after all were told to have been answered and ended, some twice."""
        statuses = set()
        for answer, service in zip(answers.values(), cycle(self.services)):
            for event in events_of(answer):
                statuses.add(await self.switch.report(service, **event))
        return statuses

    async def ask(self, path: str, service: int = 0) -> Any:
        """What is answered to a GET."""
        url = f"{self.services[service].url}{path}"
        async with self.switch.session.get(url) as response:
            assert response.status == 200, await response.text()
            return await response.json()


def a_call(number: int) -> dict[str, Any]:
    return {
        "call_id": f"{number}@switch",
        "campaign": "auto",
        "caller_id": f"+1310555{number:04}",
        "source": "pub-1",
        "timeout_ms": 8000,
    }


def events_of(answer: Answer) -> list[dict[str, Any]]:
    common = {"call_id": answer["call_id"], "attempt": answer["attempt"]}
    answered = {**common, "event_id": "a", "type": "answered", "at": "2026-11-28T18:00:05Z"}
    ended = {**common, "event_id": "e", "type": "ended", "at": "2026-11-28T18:02:05Z"}
    return [answered, {**ended, "total_duration_s": 125, "connected_duration_s": 120}, answered]


def offers_of(answers: dict[int, Answer]) -> dict[str, int]:
    return dict(Counter(answer["offer"] for answer in answers.values()))


@asynccontextmanager
async def a_site(folder: Path, dsn: str, pooler: Pooler, cap: int) -> AsyncIterator[Site]:
    script = {"buyers": [{"name": "acme", "ping": {"bid": "50.00"}}]}
    environment = on(dsn, PINGPOST_DATABASE_POOLER=pooler.value)
    async with AsyncExitStack() as stack:
        subscriber = await stack.enter_async_context(receiving())
        market = a_market(folder, script, MARKETPLACE, hook=subscriber.url, cap=cap)
        buyers, file = await stack.enter_async_context(market)
        arguments = ("--marketplace", str(file))
        # Both at once on an empty database: each wants to make the schema.
        one, two = await asyncio.gather(
            *(
                stack.enter_async_context(
                    a_service(folder / name, *arguments, *more, environment=environment)
                )
                for name, more in (("one", ("--workers", "2")), ("two", ()))
            )
        )
        switch = await stack.enter_async_context(a_switch())
        yield Site((one, two), buyers, subscriber, switch)


async def raise_cap(site: Site, limit: int) -> None:
    caps = [{"measure": "calls", "per": "month", "limit": limit}]
    url = f"{site.services[1].url}/v1/offers/acme-auto"
    async with site.switch.session.patch(url, json={"caps": caps}) as response:
        assert response.status == 200, await response.text()


@pytest.mark.parametrize("pooler", [Pooler.SESSION, Pooler.TRANSACTION])
async def test_a_marketplace_runs_behind_pgbouncer(
    tmp_path: Path,
    server: tuple[str, str],
    pooler: Pooler,
    short: bool,
    report: Report,
) -> None:
    calls, cap = (60, 12) if short else (300, 60)
    size = str(SHARED if pooler is Pooler.TRANSACTION else 60)
    changes = {"pool_mode": pooler.value, "default_pool_size": size}
    bouncing = a_pgbouncer(tmp_path / "bouncer", *server, changes)
    async with bouncing as bouncer, a_site(tmp_path, bouncer.pooled_dsn, pooler, cap) as site:
        report.fact("PgBouncer", f"by the {pooler}")
        answers = await site.route(range(calls))
        wanted = {"acme-auto": cap, "cobalt-auto": calls - cap}
        report.equal("routes, all asked at once of two services", wanted, offers_of(answers))
        await check_repeats(site, answers, report)
        await check_connections(bouncer, server[0], pooler, report)
        answers |= await check_change(site, cap, report)
        report.equal("answers to reports of the switch", {200}, await site.report(answers))
        await check_figures(site, answers, report)
        await check_restart(bouncer, site, report)
        for service in site.services:
            report.equal("tracebacks in a log", 0, service.log.count("Traceback"))


async def check_repeats(site: Site, answers: dict[int, Answer], report: Report) -> None:
    counts = site.buyers.buyer("acme").counts
    before = counts.pings, counts.posts
    # In another order, so that each is asked of the other service.
    again = await site.route(range(9, -1, -1))
    report.equal("repeats answered alike", 10, sum(again[n] == answers[n] for n in range(10)))
    report.equal("pings and posts after repeats", before, (counts.pings, counts.posts))


async def check_connections(bouncer: PgBouncer, dsn: str, pooler: Pooler, report: Report) -> None:
    connection = await asyncpg.connect(dsn)
    servers = await connection.fetchval(SERVER_CONNECTIONS)
    await connection.close()
    clients = bouncer.clients
    report.fact("connections of the services, and of PgBouncer to the server", (clients, servers))
    shared = pooler is Pooler.TRANSACTION
    report.equal("server connections are shared", shared, servers < clients)
    report.equal("no more than allowed", True, servers <= (SHARED if shared else clients))


async def check_change(site: Site, cap: int, report: Report) -> dict[int, Answer]:
    """Raise a cap at one service while both are asked; all calls that were made for it.

    By the transaction each process looks for changes by itself: one may know it before the others.
    """
    answers: dict[int, Answer] = {}
    await raise_cap(site, cap + EXTRA)
    began = monotonic()
    waves = iter(range(5000, 8000, AT_ONCE))

    async def sold() -> bool:
        first = next(waves)
        answers.update(await site.route(range(first, first + AT_ONCE)))
        return offers_of(answers).get("acme-auto", 0) >= EXTRA

    await eventually(sold, within_s=IN_FORCE_WITHIN_S)
    report.fact("as many more as the change allows were sold after", f"{monotonic() - began:.2f} s")
    answers |= await site.route(range(4000, 4000 + AT_ONCE))
    report.equal("more calls after a raised cap", EXTRA, offers_of(answers)["acme-auto"])
    return answers


async def check_figures(site: Site, answers: dict[int, Answer], report: Report) -> None:
    offers = offers_of(answers)
    acme, cobalt = offers["acme-auto"], offers["cobalt-auto"]
    revenue = Decimal(50) * acme + Decimal(18) * cobalt
    wanted = (len(answers), len(answers), f"{revenue:.2f}", f"{9 * len(answers)}.00")

    async def figures() -> tuple[Any, ...]:
        found = (await site.ask("/v1/reports/offers", 1))["totals"]
        return tuple(found[name] for name in ("answered", "converted", "revenue", "payout"))

    async def complete() -> bool:
        return await figures() == wanted

    with_figures = "answered, converted, revenue, payout"
    try:
        await eventually(complete, within_s=20, every_s=0.2)
    finally:
        report.equal(with_figures, wanted, await figures())
    usage = (await site.ask("/v1/offers/acme-auto/usage"))["caps"][0]
    report.equal("the cap's use and limit", (acme, acme), (usage["used"], usage["limit"]))
    record = (await site.ask("/v1/calls/0@switch"))["cdr"]
    report.equal("a call's record", ("ended", True), (record["state"], record["converted"]))
    await eventually(lambda: len(told(site)) >= len(answers), within_s=30)
    report.equal("routes that a subscriber was told of", len(answers), len(told(site)))

    async def active() -> list[str]:
        return [each["rule"] for each in (await site.ask("/v1/alerts/active"))["alerts"]]

    await eventually(active, within_s=60, every_s=0.5)
    report.equal("alerts that fire", ["full"], await active())


def told(site: Site) -> set[str]:
    return {body["call"]["call_id"] for body in site.subscriber.bodies}


async def check_restart(bouncer: PgBouncer, site: Site, report: Report) -> None:
    """Kill PgBouncer and start another: the services find it by themselves."""
    await bouncer.kill()
    url = f"{site.services[0].url}/v1/calls"
    async with site.switch.session.post(url, json=a_call(8000)) as refused:
        report.equal("a call while it is away", 503, refused.status)
    await bouncer.start()

    async def routed() -> bool:
        try:
            await site.route((8000, 8001))
        except (AssertionError, aiohttp.ClientError):
            return False
        return True

    began = monotonic()
    await eventually(routed, within_s=20)
    report.fact("calls were routed again after", f"{monotonic() - began:.2f} s")
    again = await site.route((8000, 8001))
    report.equal("by", {"cobalt-auto": 2}, offers_of(again))


@pytest.mark.parametrize("ignored", ["", "jit,plan_cache_mode,idle_in_transaction_session_timeout"])
async def test_a_pooler_that_was_not_named_is_refused_with_a_word_about_it(
    tmp_path: Path, server: tuple[str, str], ignored: str, report: Report
) -> None:
    changes = {"ignore_startup_parameters": ignored}
    async with a_pgbouncer(tmp_path / "bouncer", *server, changes) as bouncer:
        with pytest.raises(PoolerError, match="PINGPOST_DATABASE_POOLER") as caught:
            await Database.connect(bouncer.pooled_dsn)
        report.fact("told", caught.value)
