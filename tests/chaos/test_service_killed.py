"""kill -9 of the service in a burst, and a database that goes away: nothing given is lost."""

import asyncio
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import psutil
import pytest

from buyers.simulator.server import SimulatedBuyers
from storage.embedded import EmbeddedServer, running_dsn
from tests.eventually import eventually
from tests.selling import a_market, on
from tests.service_process import AUTHORISED, ServiceProcess, a_service, a_switch

pytestmark = pytest.mark.chaos

CAP = 40
SLOTS = 25
CALLS = 120
AT_ONCE = 24

BUYERS = {
    "seed": 5,
    "buyers": [
        {
            "name": "acme",
            "port": 9301,
            "ping": {"bid": "50.00", "latency_ms": {"distribution": "constant", "value": 5}},
            "post": {"latency_ms": {"distribution": "constant", "value": 5}},
        }
    ],
}
MARKETPLACE = """
campaigns:
  - {{id: auto, name: Auto, numbers: ["+18005550100"]}}
buyers:
  - id: acme
    name: Acme
    concurrency: {slots}
    caps: [{{measure: calls, per: day, limit: {cap}}}]
    offers:
      - id: acme-auto
        campaign: auto
        destination: {{uri: "sip:a@acme.example"}}
        caps: [{{measure: calls, per: total, limit: {cap}}}]
        ping_post:
          minimum_bid: 10
          ping: {{url: "{acme}/ping", timeout_ms: 1000}}
          post: {{url: "{acme}/post", timeout_ms: 1000}}
  - id: cobalt
    name: Cobalt
    offers:
      - id: cobalt-auto
        campaign: auto
        destination: {{uri: "tel:+18885550142"}}
        static_price: 18
"""


def a_call(number: int) -> dict[str, Any]:
    return {
        "call_id": f"{number}@switch",
        "campaign": "auto",
        "caller_id": f"+1310555{number:04}",
        "timeout_ms": 5000,
    }


@dataclass(slots=True)
class Burst:
    """Calls asked by many at once; with the answer number ``kill_at`` the ``victim`` is killed."""

    answers: dict[int, bytes]
    kill_at: int | None = None
    victim: Callable[[], None] | None = None
    lost: int = 0
    refused: int = 0

    async def ask(self, service: ServiceProcess, numbers: range) -> None:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(headers=AUTHORISED, connector=connector) as session:
            waiting = iter(numbers)

            async def ask_on() -> None:
                for number in waiting:
                    await self._one(session, service, number)

            await asyncio.gather(*(ask_on() for _ in range(AT_ONCE)))

    async def _one(
        self, session: aiohttp.ClientSession, service: ServiceProcess, number: int
    ) -> None:
        try:
            async with session.post(f"{service.url}/v1/calls", json=a_call(number)) as response:
                body = await response.read()
                if response.status != 200:
                    self.refused += 1
                else:
                    self.answers[number] = body
                    if self.victim is not None and len(self.answers) == self.kill_at:
                        self.victim()
        except aiohttp.ClientError:
            self.lost += 1


def acmes_market(folder: Path) -> AbstractAsyncContextManager[tuple[SimulatedBuyers, Path]]:
    return a_market(folder, BUYERS, MARKETPLACE, cap=CAP, slots=SLOTS)


async def _usage(dsn: str) -> Counter[str]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            "select offer, count(*) as n from reservations where state <> 'released' group by offer"
        )
        return Counter({row["offer"]: row["n"] for row in rows})
    finally:
        await connection.close()


def _kill(service: ServiceProcess) -> None:
    assert service.process is not None
    service.process.send_signal(signal.SIGKILL)


def _kill_database(service: ServiceProcess) -> None:
    assert service.process is not None
    (postmaster,) = psutil.Process(service.process.pid).children()
    postmaster.send_signal(signal.SIGKILL)


@pytest.mark.parametrize("kill_after", [1, 10, 30])
async def test_after_kill_9_in_a_burst_every_answer_given_is_found_again(
    tmp_path: Path, kill_after: int
) -> None:
    async with acmes_market(tmp_path) as (_, marketplace):
        data = tmp_path / "data"
        async with a_service(data, "--marketplace", str(marketplace)) as service:
            burst = Burst({}, kill_after, partial(_kill, service))
            await burst.ask(service, range(CALLS))
            await service.kill()
            assert kill_after <= len(burst.answers) < CALLS

            await service.start()
            await _is_all_found_again(service, burst.answers)


@pytest.mark.parametrize("kill_after", [1, 30])
async def test_after_kill_9_of_postgresql_in_a_burst_every_answer_given_is_found_again(
    tmp_path: Path, kill_after: int
) -> None:
    async with acmes_market(tmp_path) as (_, marketplace):
        data = tmp_path / "data"
        async with a_service(data, "--marketplace", str(marketplace)) as service:
            burst = Burst({}, kill_after, partial(_kill_database, service))
            await burst.ask(service, range(CALLS))
            assert kill_after <= len(burst.answers)
            assert burst.refused > 0

            await service.ready()
            await _is_all_found_again(service, burst.answers)


async def _is_all_found_again(service: ServiceProcess, given: Mapping[int, bytes]) -> None:
    """Every answer is still the same, every other call is decided now, and no limit is passed."""
    again = Burst({})
    await again.ask(service, range(CALLS))
    stuck = set(range(CALLS)) - set(again.answers)
    while stuck:  # decided by a retry once the dead decider's claim is over
        for number in sorted(stuck):
            await again.ask(service, range(number, number + 1))
        stuck -= set(again.answers)

    assert {number: again.answers[number] for number in given} == given
    dsn = running_dsn(service.data_dir)
    assert dsn is not None
    sold = await _usage(dsn)
    assert sum(sold.values()) == CALLS
    assert sold["acme-auto"] <= SLOTS


async def test_a_kill_of_everything_keeps_call_winner_and_price(tmp_path: Path) -> None:
    async with acmes_market(tmp_path) as (buyers, marketplace):
        data = tmp_path / "data"
        async with a_service(data, "--marketplace", str(marketplace)) as service, a_switch() as sw:
            before = await sw.route(service, **a_call(1))
            assert service.process is not None
            children = psutil.Process(service.process.pid).children(recursive=True)
            await service.kill()
            for child in children:
                with suppress(psutil.NoSuchProcess):  # it may have heard of the death already
                    child.kill()
            await service.start()
            assert await sw.route(service, **a_call(1)) == before
            assert buyers.buyer("acme").counts.pings == 1
            record = await sw.record(service, "1@switch")
            assert record["cdr"]["price"] == "50.00"


async def test_with_the_database_stopped_calls_get_503_and_recover_with_it(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "server")
    environment = on(await server.start())
    try:
        async with acmes_market(tmp_path) as (_, marketplace):
            arguments = ("--marketplace", str(marketplace))
            async with (
                a_service(tmp_path / "data", *arguments, environment=environment) as service,
                a_switch() as switch,
            ):
                assert (await switch.route(service, **a_call(1)))["offer"] == "acme-auto"
                await server.stop()
                await _gets_503_in_time(switch.session, service)
                await _is_not_ready(switch.session, service)
                await server.start()
                recovered = await eventually(
                    lambda: _decision(switch.session, service, a_call(3)), within_s=15
                )
                assert recovered["action"] == "route"
    finally:
        await server.stop()


async def test_postgresql_killed_under_the_service_comes_back_by_itself(tmp_path: Path) -> None:
    async with acmes_market(tmp_path) as (_, marketplace):
        data = tmp_path / "data"
        async with a_service(data, "--marketplace", str(marketplace)) as service, a_switch() as sw:
            before = await sw.route(service, **a_call(1))
            _kill_database(service)
            after = await eventually(lambda: _decision(sw.session, service, a_call(2)), within_s=20)
            assert after["action"] == "route"
            assert await sw.route(service, **a_call(1)) == before


async def _gets_503_in_time(session: aiohttp.ClientSession, service: ServiceProcess) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    call = {**a_call(2), "timeout_ms": 1000}
    async with session.post(f"{service.url}/v1/calls", json=call) as response:
        assert response.status == 503
        assert int(response.headers["Retry-After"]) >= 1
        assert response.content_type == "application/problem+json"
    assert loop.time() - began < 1.0


async def _is_not_ready(session: aiohttp.ClientSession, service: ServiceProcess) -> None:
    async with session.get(f"{service.ops_url}/readyz") as response:
        assert response.status == 503
        assert (await response.json())["checks"]["database"] != "ok"
    async with session.get(f"{service.ops_url}/healthz") as response:
        assert response.status == 200


async def _decision(
    session: aiohttp.ClientSession, service: ServiceProcess, call: dict[str, Any]
) -> dict[str, Any]:
    async with session.post(f"{service.url}/v1/calls", json=call) as response:
        body: dict[str, Any] = await response.json()
        return body if response.status == 200 else {}
