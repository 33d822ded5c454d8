"""Two services behind the real HAProxy: one leaves, one is killed, and every call is answered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from buyers.simulator.server import SimulatedBuyers
from tests.e2e.haproxy import HAProxy, an_haproxy
from tests.e2e.report import Report
from tests.e2e.traffic import ACME_TOKEN, marketplace, selling_buyers, traffic_at
from tests.eventually import eventually
from tests.selling import on
from tests.service_process import ServiceProcess, a_service


@dataclass(slots=True)
class Site:
    """Two services, what is in front of them, and who buys."""

    services: list[ServiceProcess]
    haproxy: HAProxy
    buyers: SimulatedBuyers


@asynccontextmanager
async def a_site(folder: Path, dsn: str) -> AsyncIterator[Site]:
    environment = on(dsn, PINGPOST_DRAIN_NOTICE_S="5", ACME_TOKEN=ACME_TOKEN)
    file = folder / "marketplace.yaml"
    async with AsyncExitStack() as stack:
        buyers = await stack.enter_async_context(selling_buyers("127.0.0.1"))
        file.write_text(marketplace(["auto"], buyers), encoding="utf-8")
        services = [
            await stack.enter_async_context(
                a_service(folder / name, "--marketplace", str(file), environment=environment)
            )
            for name in ("one", "two")
        ]
        haproxy = await stack.enter_async_context(an_haproxy(folder, services))
        yield Site(services, haproxy, buyers)


async def gone(site: Site, server: str) -> None:
    async def is_down() -> bool:
        return (await site.haproxy.states())[server].startswith("DOWN")

    await eventually(is_down, within_s=10, every_s=0.05)


async def test_one_that_stops_in_good_order_costs_no_call_not_even_a_retry(
    tmp_path: Path, dsn: str, report: Report
) -> None:
    async with (
        a_site(tmp_path, dsn) as site,
        traffic_at(site.haproxy.url, "auto", 0) as traffic,
    ):
        await traffic.more()
        for service, server in zip(site.services, ("one", "two"), strict=True):
            stopping = asyncio.create_task(service.stop())
            await gone(site, server)
            # It still runs: it was left out because it has said so.
            report.equal(f"{server} is out of use before it ends", False, stopping.done())
            report.equal(f"{server} ends with", 0, await stopping)
            await traffic.more()
            await service.start()
            await eventually(site.haproxy.both_up, within_s=20, every_s=0.1)
            await traffic.more()
    traffic.compare_all_as_ever(report, site.buyers)


async def test_one_that_is_killed_loses_no_call(tmp_path: Path, dsn: str, report: Report) -> None:
    async with a_site(tmp_path, dsn) as site:
        async with traffic_at(site.haproxy.url, "auto", 0) as traffic:
            await traffic.more()
            await site.services[0].kill()
            await gone(site, "one")
            await traffic.more()
        await traffic.compare_each_sold_once(report, site.buyers)


@pytest.mark.parametrize("path", ["calls", "offers"])
async def test_when_nobody_is_left_the_switch_is_told_when_to_ask_again(
    tmp_path: Path, path: str, report: Report
) -> None:
    nobody = [ServiceProcess(tmp_path / name, 1, 1) for name in ("one", "two")]
    async with (
        an_haproxy(tmp_path, nobody, up=False) as haproxy,
        aiohttp.ClientSession() as session,
        session.post(f"{haproxy.url}/v1/{path}", json={}) as response,
    ):
        report.equal("status", 503, response.status)
        report.equal("Retry-After", "1", response.headers["Retry-After"])
        report.equal("type", "application/problem+json", response.content_type)
        report.equal("status in the body", 503, (await response.json(content_type=None))["status"])


@pytest.mark.parametrize(
    ("path", "backend"),
    [
        ("calls?format=twiml&CallSid=1", "calls"),
        ("calls/next?call=1&format=kv", "calls"),
        ("calls/events?format=fsxml&call=1", "calls"),
        ("calls?format=csv", "everything"),
        ("calls", "everything"),
        ("calls/1", "everything"),
    ],
    ids=["a call", "next", "an event", "an export", "a list", "a record"],
)
async def test_a_get_that_asks_for_a_call_may_be_asked_of_the_other_service(
    tmp_path: Path, path: str, backend: str, report: Report
) -> None:
    nobody = [ServiceProcess(tmp_path / name, 1, 1) for name in ("one", "two")]
    async with (
        an_haproxy(tmp_path, nobody, up=False) as haproxy,
        aiohttp.ClientSession() as session,
        session.get(f"{haproxy.url}/v1/{path}"),
    ):
        report.equal(f"GET {path} is for", 1, await haproxy.asked(backend))
