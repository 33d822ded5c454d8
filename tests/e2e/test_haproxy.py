"""Two services behind the real HAProxy: one leaves, one is killed, and every call is answered."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.e2e.haproxy import HAProxy, an_haproxy
from tests.e2e.report import Report
from tests.eventually import eventually
from tests.http.test_two_services import MARKETPLACE
from tests.selling import a_market, on
from tests.service_process import AUTHORISED, ServiceProcess, a_service

CALLERS = 6
PAUSE_S = 0.02
RETRIES = 10


@dataclass(slots=True)
class Traffic:
    """Calls that keep coming. A 503 is asked again, as a switch would after ``Retry-After``."""

    url: str
    statuses: Counter[int] = field(default_factory=Counter)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    broken: int = 0
    over: bool = False

    async def run(self) -> None:
        """Ask until it is over."""
        async with aiohttp.ClientSession(headers=AUTHORISED) as session:
            await asyncio.gather(*(self._caller(session, caller) for caller in range(CALLERS)))

    async def _caller(self, session: aiohttp.ClientSession, caller: int) -> None:
        number = 0
        while not self.over:
            number += 1
            call_id = f"{caller}-{number}@switch"
            for _ in range(RETRIES):
                if await self._ask(session, call_id) == 200:
                    break
                await asyncio.sleep(1)
            await asyncio.sleep(PAUSE_S)

    async def _ask(self, session: aiohttp.ClientSession, call_id: str) -> int:
        call = {"call_id": call_id, "campaign": "auto", "timeout_ms": 1500}
        try:
            async with session.post(f"{self.url}/v1/calls", json=call) as response:
                self.statuses[response.status] += 1
                self.answers[call_id] = await response.json()
                return response.status
        except aiohttp.ClientError:
            self.broken += 1
            return 0

    @property
    def unanswered(self) -> int:
        """Calls that never got a decision."""
        return sum("action" not in answer for answer in self.answers.values())


@dataclass(slots=True)
class Site:
    """Two services, what is in front of them, and the traffic."""

    services: list[ServiceProcess]
    haproxy: HAProxy
    traffic: Traffic


@asynccontextmanager
async def a_site(folder: Path, dsn: str) -> AsyncIterator[Site]:
    script = {"buyers": [{"name": "acme", "ping": {"bid": "50.00"}}]}
    environment = on(dsn, PINGPOST_DRAIN_NOTICE_S="5")
    async with AsyncExitStack() as stack:
        _, file = await stack.enter_async_context(a_market(folder, script, MARKETPLACE))
        services = [
            await stack.enter_async_context(
                a_service(folder / name, "--marketplace", str(file), environment=environment)
            )
            for name in ("one", "two")
        ]
        haproxy = await stack.enter_async_context(an_haproxy(folder, services))
        traffic = Traffic(haproxy.url)
        running = asyncio.create_task(traffic.run())
        yield Site(services, haproxy, traffic)
        traffic.over = True
        await running


async def more_calls(site: Site, count: int = 60) -> None:
    """Wait for so many calls to be answered from now on."""
    wanted = site.traffic.statuses[200] + count
    await eventually(lambda: site.traffic.statuses[200] >= wanted, within_s=60, every_s=0.05)


async def gone(site: Site, server: str) -> None:
    async def is_down() -> bool:
        return (await site.haproxy.states())[server].startswith("DOWN")

    await eventually(is_down, within_s=10, every_s=0.05)


async def test_one_that_stops_in_good_order_costs_no_call_not_even_a_retry(
    tmp_path: Path, dsn: str, report: Report
) -> None:
    async with a_site(tmp_path, dsn) as site:
        await more_calls(site)
        for service, server in zip(site.services, ("one", "two"), strict=True):
            stopping = asyncio.create_task(service.stop())
            await gone(site, server)
            # It still runs: it was left out because it has said so.
            report.equal(f"{server} is out of use before it ends", False, stopping.done())
            report.equal(f"{server} ends with", 0, await stopping)
            await more_calls(site)
            await service.start()
            await eventually(site.haproxy.both_up, within_s=20, every_s=0.1)
            await more_calls(site)
        traffic = site.traffic
    report.fact("calls", len(traffic.answers))
    report.equal(
        "statuses other than 200", 0, sum(traffic.statuses.values()) - traffic.statuses[200]
    )
    report.equal("connections that broke", 0, traffic.broken)


async def test_one_that_is_killed_loses_no_call(tmp_path: Path, dsn: str, report: Report) -> None:
    async with a_site(tmp_path, dsn) as site:
        await more_calls(site)
        await site.services[0].kill()
        await gone(site, "one")
        await more_calls(site)
        traffic = site.traffic
    report.fact("calls", len(traffic.answers))
    report.fact("asked again by the switch", traffic.statuses.total() - traffic.statuses[200])
    report.equal("connections that broke", 0, traffic.broken)
    report.equal("calls without a decision", 0, traffic.unanswered)
    sold = Counter(answer["offer"] for answer in traffic.answers.values())
    report.equal("calls within the cap of 7", 7, sold["acme-auto"])


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
