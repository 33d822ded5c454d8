"""A real Prometheus scrapes a running service: what it counts is what was called.

The service has two workers and an embedded PostgreSQL, which is stopped for a while.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import aiohttp
import psutil

from buyers.simulator.server import SimulatedBuyers
from tests.e2e.prometheus import Prometheus, a_prometheus
from tests.e2e.report import Report
from tests.e2e.test_rules import promtool
from tests.eventually import eventually
from tests.promql import Exposed, dashboards, faults_of, filled_in, queries, recorded
from tests.selling import a_market
from tests.service_process import ServiceProcess, Switch, a_service, a_switch

MARKETPLACE = """
campaigns:
  - id: auto
    name: Auto
    auction: {{budget_ms: 4000}}
    payouts: [{{source: "*", trigger: attempt, percent: 50}}]
  - {{id: home, name: Home}}
buyers:
  - id: acme
    name: Acme
    offers:
      - id: acme-auto
        campaign: auto
        destination: {{uri: "sip:a@acme.example"}}
        caps: [{{measure: calls, per: day, limit: {cap}}}]
        conversions: [{{trigger: attempt}}]
        ping_post:
          ping: {{url: "{acme}/ping", timeout_ms: 2000}}
          post: {{url: "{acme}/post", timeout_ms: 2000}}
  - id: beacon
    name: Beacon
    offers:
      - id: beacon-auto
        campaign: auto
        destination: {{uri: "sip:b@beacon.example"}}
        ping_post:
          ping: {{url: "{beacon}/ping", timeout_ms: 2000}}
          post: {{url: "{beacon}/post", timeout_ms: 2000}}
  - id: cobalt
    name: Cobalt
    offers:
      - id: cobalt-auto
        campaign: auto
        destination: {{uri: "tel:+18885550142"}}
        static_price: 18
alerts:
  - {{id: times-out, measure: timeout_rate, above: "0.5"}}
"""
BUYERS = {
    "buyers": [
        {"name": "acme", "ping": {"bid": "52.50"}},
        {"name": "beacon", "ping": {"behaviours": {"no_bid": 1}}},
    ]
}
UNROUTED = 15
AT_ONCE = 8
MAY_BE_EMPTY = {"Breakers"}
"""Panels that show nothing while all is well."""


@dataclass(frozen=True, slots=True)
class Site:
    """A service that a Prometheus watches, and a switch."""

    service: ServiceProcess
    buyers: SimulatedBuyers
    switch: Switch
    prometheus: Prometheus

    async def call(self, campaign: str, number: int) -> list[dict[str, object]]:
        """The decisions on as many calls of a campaign, a few of them at once."""
        few = asyncio.Semaphore(AT_ONCE)

        async def one(place: int) -> dict[str, object]:
            async with few:
                return await self.switch.route(
                    self.service, call_id=f"{campaign}-{place}", campaign=campaign, source="pub-17"
                )

        return await asyncio.gather(*map(one, range(number)))

    async def exposition(self) -> str:
        """What Prometheus is given."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.service.ops_url}/metrics") as response,
        ):
            assert response.status == 200
            return await response.text()


@asynccontextmanager
async def a_site(folder: Path, cap: int) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        market = a_market(folder, BUYERS, MARKETPLACE, cap=cap)
        buyers, path = await stack.enter_async_context(market)
        arguments = ("--workers", "2", "--marketplace", str(path))
        service = await stack.enter_async_context(a_service(folder / "data", *arguments))
        switch = await stack.enter_async_context(a_switch())
        target = f"127.0.0.1:{service.ops_port}"
        prometheus = await stack.enter_async_context(a_prometheus(folder, target))
        yield Site(service, buyers, switch, prometheus)


async def test_prometheus_counts_what_was_called_and_tells_when_the_database_is_away(
    tmp_path: Path, short: bool, report: Report
) -> None:
    calls = 60 if short else 600
    async with a_site(tmp_path, cap=calls // 2) as site:
        prometheus = site.prometheus
        await eventually(lambda: _scraped(prometheus), within_s=60, every_s=0.2)
        report.equal("up", 1, await prometheus.value('up{job="pingpost"}'))
        decisions = [*await site.call("auto", calls), *await site.call("home", UNROUTED)]
        await _counts_are_equal(site, decisions, report)
        await _recording_rules_have_values(prometheus, report)
        await _an_alert_fires_for_calls_without_a_buyer(prometheus, report)
        await _metrics_are_as_they_should_be(site, report)
        await _every_panel_shows_something(prometheus, report)
        await _a_database_that_is_away_is_told_until_it_is_back(site, report)


async def _scraped(prometheus: Prometheus) -> bool:
    """Twice at least, so that rates begin before the first call."""
    return await prometheus.value('count_over_time(up{job="pingpost"}[1m])') >= 2


async def _counts_are_equal(site: Site, decisions: list[dict[str, object]], report: Report) -> None:
    prometheus = site.prometheus
    total = "sum(pingpost_calls_total)"
    await eventually(lambda: _reached(prometheus, total, len(decisions)), within_s=30, every_s=0.2)
    report.fact("calls", len(decisions))
    outcomes = Counter(str(each["routed_by"] or "no_route") for each in decisions)
    seen = await prometheus.by("outcome", "sum by (outcome) (pingpost_calls_total)")
    report.equal("calls by outcome", dict(outcomes), seen)
    assert set(outcomes) == {"auction", "static", "no_route"}
    routes = Counter(str(each["offer"]) for each in decisions if each["offer"])
    seen = await prometheus.by("offer", "sum by (offer) (pingpost_routes_total)")
    report.equal("calls by offer", dict(routes), seen)
    await _buyers_saw_the_same(site, report)
    sold = [each for each in decisions if each["offer"] == "acme-auto"]
    revenue = sum(Decimal(str(each["price"])) for each in sold)
    report.equal("revenue", float(revenue), await prometheus.value("sum(pingpost_revenue_total)"))
    paid = await prometheus.value("sum(pingpost_payout_total)")
    report.equal("payout", float(revenue / 2), paid)
    ratio = 'max(pingpost_cap_used_ratio{offer="acme-auto"})'
    report.equal("share of the cap used", 1, await prometheus.value(ratio))


async def _buyers_saw_the_same(site: Site, report: Report) -> None:
    for buyer in site.buyers.names:
        counts, offer = site.buyers.buyer(buyer).counts, f'{{offer="{buyer}-auto"}}'
        for what, wanted in (("pings", counts.pings), ("bids", counts.bids)):
            seen = await site.prometheus.value(f"sum(pingpost_{what}_total{offer})")
            report.equal(f"{what} of {buyer}", wanted, seen)
        posts = await site.prometheus.value(f"sum(pingpost_posts_total{offer})")
        report.equal(f"posts to {buyer}", counts.posts, posts)


async def _reached(prometheus: Prometheus, expression: str, wanted: float) -> bool:
    return await prometheus.value(expression) == wanted


async def _recording_rules_have_values(prometheus: Prometheus, report: Report) -> None:
    async def all_have() -> bool:
        valued = 0
        for name in recorded():
            values = [value for _, value in await prometheus.query(name)]
            assert any(value == value for value in values), f"{name} has {values}"
            valued += 1
        return valued == len(recorded())

    await eventually(all_have, within_s=30, every_s=0.5)
    report.equal("rules that can't be evaluated", [], await prometheus.unhealthy_rules())
    ratio = 'job_campaign:pingpost_no_route:ratio_rate5m{campaign="home"}'
    await eventually(lambda: _reached(prometheus, ratio, 1), within_s=30, every_s=0.2)
    report.equal("share of calls of home without a buyer", 1, await prometheus.value(ratio))
    seconds = await prometheus.value("job:pingpost_overhead_seconds:p99_rate5m")
    report.fact("overhead that 99 % of the decisions stayed under, ms", round(seconds * 1000))
    assert 0 < seconds <= 2.5


async def _an_alert_fires_for_calls_without_a_buyer(prometheus: Prometheus, report: Report) -> None:
    fired = await eventually(lambda: prometheus.firing("PingpostNoRoute"), within_s=30, every_s=0.2)
    report.equal("campaigns that find no buyer", ["home"], [each["campaign"] for each in fired])
    fired = await eventually(
        lambda: prometheus.firing("PingpostCapExhausted"), within_s=30, every_s=0.2
    )
    report.equal("limits used up", ["offer_calls_per_day"], [each["cap"] for each in fired])


async def _metrics_are_as_they_should_be(site: Site, report: Report) -> None:
    text = await site.exposition()
    code, said = promtool("check", "metrics", text=text)
    report.equal("what promtool check metrics says", (0, ""), (code, said))
    asked = [each for dashboard in dashboards().values() for each in queries(dashboard)]
    report.equal("what dashboards name that there is not", [], faults_of(Exposed(text), asked))


async def _every_panel_shows_something(prometheus: Prometheus, report: Report) -> None:
    asked = [each for dashboard in dashboards().values() for each in queries(dashboard)]
    empty = {
        title for title, expression in asked if not await prometheus.query(filled_in(expression))
    }
    report.fact("queries of dashboards that were asked", len(asked))
    report.equal("panels that show nothing", MAY_BE_EMPTY, empty)


async def _a_database_that_is_away_is_told_until_it_is_back(site: Site, report: Report) -> None:
    prometheus, name = site.prometheus, "PingpostDatabaseDown"

    async def is_quiet() -> bool:
        return not await prometheus.firing(name)

    await eventually(is_quiet, within_s=30, every_s=0.2)
    with _frozen_database(site.service):
        fired = await eventually(lambda: prometheus.firing(name), within_s=30, every_s=0.2)
        report.equal("alerts while it is away", ["page"], [each["severity"] for each in fired])
        up = await prometheus.value('max_over_time(up{job="pingpost"}[10s])')
        report.equal("up while it is away", 1, up)
    await eventually(is_quiet, within_s=30, every_s=0.2)
    ready = 'pingpost_ready{check="database"}'
    await eventually(lambda: _reached(prometheus, ready, 1), within_s=30, every_s=0.2)
    report.equal("alerts once it is back", [], await prometheus.firing(name))


@contextmanager
def _frozen_database(service: ServiceProcess) -> Iterator[None]:
    """Have the embedded PostgreSQL stand still, all of its processes."""
    assert service.process is not None
    (server,) = [
        each for each in psutil.Process(service.process.pid).children() if each.name() == "postgres"
    ]
    frozen = [server, *server.children(recursive=True)]
    for process in frozen:
        process.suspend()
    try:
        yield
    finally:
        for process in frozen:
            process.resume()
