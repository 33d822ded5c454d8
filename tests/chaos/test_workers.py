"""``serve --workers 2``: real processes that are raced, killed, renewed and orphaned."""

import asyncio
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import orjson
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from auction.domain.ids import CallId
from buyers.simulator.server import SimulatedBuyers
from storage.database import Database
from tests.eventually import eventually
from tests.http.raw_http import request_bytes
from tests.ledger_steps import CLAIM_OVER, LEASE_OVER, rewind
from tests.selling import a_market, on
from tests.service_process import AUTHORISED, ServiceProcess, a_service

pytestmark = pytest.mark.chaos

CAP = 7
SCRAPE_EVERY_S = 0.05
MARKETPLACE = """
campaigns:
  - {{id: auto, name: Auto, numbers: ["+18005550100"], auction: {{budget_ms: 8000}}}}
buyers:
  - id: acme
    name: Acme
    offers:
      - id: acme-auto
        campaign: auto
        destination: {{uri: "sip:a@acme.example"}}
        caps: [{{measure: calls, per: day, limit: {cap}}}]
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
"""

Samples = dict[tuple[str, ...], float]


@dataclass(slots=True)
class Site:
    """A service of two workers, its buyer, and connections that are kept open to it."""

    service: ServiceProcess
    buyers: SimulatedBuyers
    session: aiohttp.ClientSession

    async def ask(
        self, call_id: str, session: aiohttp.ClientSession | None = None
    ) -> tuple[int, bytes]:
        """The status and the body of a decision."""
        call = {"call_id": call_id, "campaign": "auto", "timeout_ms": 8000}
        url = f"{self.service.url}/v1/calls"
        async with (session or self.session).post(url, json=call) as response:
            return response.status, await response.read()

    async def scrape(self) -> Samples:
        """Every sample by its name and label values; each is there once."""
        async with self.session.get(f"{self.service.ops_url}/metrics") as response:
            text = await response.text()
        samples = [
            ((sample.name, *sorted(sample.labels.values())), sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ]
        assert len(dict(samples)) == len(samples)
        return dict(samples)

    async def decided(self) -> float:
        """How many decisions the metrics tell of."""
        samples = await self.scrape()
        return sum(value for key, value in samples.items() if key[0] == "pingpost_calls_total")

    @property
    def workers(self) -> list[psutil.Process]:
        """The processes that decide calls."""
        assert self.service.process is not None
        children = psutil.Process(self.service.process.pid).children()
        return [child for child in children if _is_worker(child)]

    async def complete(self) -> bool:
        """Whether both workers take calls."""
        return (await self.scrape())["pingpost_workers",] == 2


def _is_worker(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return "worker" in process.cmdline()
    return False


def _connections(process: psutil.Process, port: int) -> int:
    open_ones = process.net_connections("tcp")
    return sum(each.status == "ESTABLISHED" and each.laddr.port == port for each in open_ones)


@asynccontextmanager
async def a_site(
    folder: Path,
    environment: dict[str, str],
    cap: int = CAP,
    latency_ms: int = 5,
    post_ms: int = 5,
) -> AsyncIterator[Site]:
    ping, post = (
        {"latency_ms": {"distribution": "constant", "value": value}}
        for value in (latency_ms, post_ms)
    )
    buyer = {"name": "acme", "ping": {"bid": "50.00", **ping}, "post": post}
    async with AsyncExitStack() as stack:
        market = a_market(folder, {"buyers": [buyer]}, MARKETPLACE, cap=cap)
        buyers, path = await stack.enter_async_context(market)
        arguments = ("--workers", "2", "--marketplace", str(path))
        service = await stack.enter_async_context(
            a_service(folder / "data", *arguments, environment=environment)
        )
        connector = aiohttp.TCPConnector(limit=0)
        session = aiohttp.ClientSession(headers=AUTHORISED, connector=connector)
        site = Site(service, buyers, await stack.enter_async_context(session))
        await eventually(site.complete, within_s=60)
        yield site


async def test_workers_share_calls_caps_and_one_scrape(tmp_path: Path, dsn: str) -> None:
    async with a_site(tmp_path, on(dsn)) as site:
        answers = await asyncio.gather(*(site.ask("same@switch") for _ in range(12)))
        assert len(set(answers)) == 1
        counts = site.buyers.buyer("acme").counts
        assert (counts.pings, counts.posts) == (1, 1)

        others = await asyncio.gather(*(site.ask(f"{number}@switch") for number in range(40)))
        assert {status for status, _ in others} == {200}
        assert all(_connections(worker, site.service.port) for worker in site.workers)
        offers = Counter("acme-auto" if b"acme-auto" in body else "static" for _, body in others)
        assert offers["acme-auto"] == CAP - 1

        before = await site.scrape()
        assert before["pingpost_calls_total", "auction", "auto"] == CAP
        assert before["pingpost_calls_total", "auto", "static"] == 41 - CAP
        assert before["pingpost_live_calls", "acme-auto"] == CAP
        assert before["pingpost_cap_used_ratio", "acme-auto", "offer_calls_per_day"] == 1
        assert before["pingpost_decision_seconds_count", "auto"] == 41


async def test_of_killed_workers_counts_stay_and_holds_are_given_back(
    tmp_path: Path, dsn: str, database: Database
) -> None:
    async with a_site(tmp_path, on(dsn), post_ms=60_000) as site:
        in_flight = [asyncio.create_task(site.ask(f"held-{each}@switch")) for each in range(CAP)]
        counts = site.buyers.buyer("acme").counts
        await eventually(lambda: counts.posts == CAP)
        await asyncio.gather(*(site.ask(f"{number}@switch") for number in range(5)))
        before = await site.scrape()
        for worker in site.workers:
            worker.send_signal(signal.SIGKILL)
        lost = await asyncio.gather(*in_flight, return_exceptions=True)
        assert all(isinstance(each, aiohttp.ClientError) for each in lost)

        await eventually(lambda: _are_replaced(site, 2), within_s=60)
        after = await site.scrape()
        fallen = {
            key for key, value in before.items() if _only_rises(key[0]) and after[key] < value
        }
        assert not fallen
        assert after["pingpost_calls_total", "auto", "static"] == 5
        assert after["pingpost_decision_seconds_count", "auto"] == 5
        assert after["pingpost_live_calls", "acme-auto"] == CAP

        held = [CallId(f"held-{each}@switch") for each in range(CAP)]
        await rewind(database, LEASE_OVER, held)
        await rewind(database, CLAIM_OVER, held)
        await eventually(lambda: _holds_nothing(site), within_s=10)
        retry = await eventually(lambda: _decision(site, "held-0@switch"), within_s=30)
        assert await site.ask("held-0@switch") == (200, retry)


async def test_a_worker_that_hangs_is_killed_and_replaced(tmp_path: Path, dsn: str) -> None:
    environment = on(dsn, PINGPOST_WORKER_HANG_S="2")
    async with a_site(tmp_path, environment) as site:
        hanging, other = site.workers
        hanging.send_signal(signal.SIGSTOP)
        await eventually(lambda: _are_replaced(site, 1), within_s=60)
        assert [_lives(hanging), _lives(other)] == [False, True]
        answers = await asyncio.gather(*(site.ask(f"{number}@switch") for number in range(8)))
        assert {status for status, _ in answers} == {200}


async def _are_replaced(site: Site, count: int) -> bool:
    samples = await site.scrape()
    restarts = samples["pingpost_worker_restarts_total",]
    return restarts == count and samples["pingpost_workers",] == 2


async def _holds_nothing(site: Site) -> bool:
    samples = await site.scrape()
    ratio = samples["pingpost_cap_used_ratio", "acme-auto", "offer_calls_per_day"]
    return samples["pingpost_live_calls", "acme-auto"] == ratio == 0


async def _decision(site: Site, call_id: str) -> bytes | None:
    status, body = await site.ask(call_id)
    return body if status == 200 else None


def _only_rises(name: str) -> bool:
    return name.endswith(("_total", "_count", "_sum", "_bucket"))


@dataclass(slots=True)
class Burst:
    """Calls asked by many at once; ``at`` answers something is done."""

    site: Site
    at: int
    then: Callable[[], None]
    answers: dict[str, bytes] = field(default_factory=dict)

    async def ask(self, call_ids: Sequence[str]) -> None:
        waiting = iter(call_ids)

        async def ask_on() -> None:
            for call_id in waiting:
                with suppress(aiohttp.ClientError):
                    self._note(call_id, *await self.site.ask(call_id))

        await asyncio.gather(*(ask_on() for _ in range(24)))

    def _note(self, call_id: str, status: int, body: bytes) -> None:
        if status == 200:
            self.answers[call_id] = body
            if len(self.answers) == self.at:
                self.then()


async def test_a_worker_killed_in_a_burst_costs_no_answer_no_cap_and_no_count(
    tmp_path: Path, dsn: str
) -> None:
    async with a_site(tmp_path, on(dsn), cap=60, latency_ms=20) as site:
        call_ids = [f"{number}@switch" for number in range(120)]
        victim = site.workers[0]
        burst = Burst(site, 30, lambda: victim.send_signal(signal.SIGKILL))
        watching = asyncio.create_task(_never_falls(site))
        await burst.ask(call_ids)
        given = dict(burst.answers)
        lost = [call_id for call_id in call_ids if call_id not in given]
        assert lost
        assert await site.decided() >= len(given)

        again = Burst(site, 0, lambda: None)
        while set(call_ids) - set(again.answers):
            await again.ask([each for each in call_ids if each not in again.answers])
        assert {each: again.answers[each] for each in given} == given
        sold = sum(b"acme-auto" in body for body in again.answers.values())
        assert sold <= 60
        await eventually(site.complete, within_s=60)
        assert len(given) <= await site.decided() <= len(call_ids)
        assert (await site.scrape())["pingpost_live_calls", "acme-auto"] == sold
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def _never_falls(site: Site) -> None:
    before: Samples = {}
    while True:
        now = await site.scrape()
        fallen = {
            key: (value, now[key])
            for key, value in before.items()
            if _only_rises(key[0]) and now[key] < value
        }
        assert not fallen
        before = now
        await asyncio.sleep(SCRAPE_EVERY_S)


async def test_sighup_renews_every_worker_without_a_refused_call(tmp_path: Path, dsn: str) -> None:
    async with a_site(tmp_path, on(dsn), cap=1) as site:
        old, load = site.workers, Load(site)
        assert site.service.process is not None
        async with load.running(), a_kept_connection(site) as kept:
            assert b"connection: close" not in (await kept.ask("kept-1@switch")).lower()
            (holder,) = (worker for worker in old if kept.port in _ports(worker, site))
            site.service.process.send_signal(signal.SIGHUP)
            only_kept = {kept.port}
            await eventually(lambda: _all_ports(old, site) == only_kept, within_s=90)
            assert _lives(holder)
            assert b"connection: close" in (await kept.ask("kept-2@switch")).lower()
            assert await kept.reader.read() == b""
            await eventually(lambda: not any(map(_lives, old)), within_s=30)
        assert load.failures == []
        assert len(load.answered) == len(set(load.answered)) > 50
        samples = await site.scrape()
        assert (samples["pingpost_workers",], samples["pingpost_worker_restarts_total",]) == (2, 0)
        assert await site.decided() == len(load.answered) + 2
        assert await site.service.stop() == 0


def _ports(worker: psutil.Process, site: Site) -> set[int]:
    """The clients' ports of its connections, 0 for its listening."""
    with suppress(psutil.Error):
        here = worker.net_connections("tcp")
        mine = (each for each in here if each.laddr.port == site.service.port)
        return {0 if each.status == "LISTEN" else each.raddr.port for each in mine}
    return set()


def _all_ports(workers: Sequence[psutil.Process], site: Site) -> set[int]:
    return set().union(*(_ports(worker, site) for worker in workers))


@dataclass(frozen=True, slots=True)
class KeptConnection:
    """One connection that is asked now and then, as from a switch's pool."""

    site: Site
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def port(self) -> int:
        """The client's."""
        port: int = self.writer.get_extra_info("sockname")[1]
        return port

    async def ask(self, call_id: str) -> bytes:
        """The head of a decision's answer, which must be a 200."""
        body = orjson.dumps({"call_id": call_id, "campaign": "auto", "timeout_ms": 8000})
        url = f"{self.site.service.url}/v1/calls"
        self.writer.write(request_bytes(url, body, AUTHORISED))
        head = await self.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        length = re.search(rb"content-length: (\d+)", head.lower())
        assert length is not None
        await self.reader.readexactly(int(length[1]))
        return head


@asynccontextmanager
async def a_kept_connection(site: Site) -> AsyncIterator[KeptConnection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.service.port)
    try:
        yield KeptConnection(site, reader, writer)
    finally:
        writer.close()


@dataclass(slots=True)
class Load:
    """Calls one after the other on kept connections and on a new one each."""

    site: Site
    answered: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        fresh = aiohttp.ClientSession(
            headers=AUTHORISED, connector=aiohttp.TCPConnector(force_close=True)
        )
        stop = asyncio.Event()
        async with fresh, asyncio.TaskGroup() as group:
            for number in range(9):
                session = fresh if number < 3 else self.site.session
                group.create_task(self._ask_on(number, session, stop))
            yield
            stop.set()

    async def _ask_on(
        self, number: int, session: aiohttp.ClientSession, stop: asyncio.Event
    ) -> None:
        asked = 0
        while not stop.is_set():
            asked += 1
            call_id = f"{number}-{asked}@switch"
            try:
                status, body = await self.site.ask(call_id, session)
            except aiohttp.ClientError as error:
                self.failures.append(f"{call_id}: {error!r}")
            else:
                if status == 200:
                    self.answered.append(call_id)
                else:
                    self.failures.append(f"{call_id}: {status} {body!r}")


async def test_sigterm_answers_what_is_in_flight_and_leaves_nothing_running(
    tmp_path: Path, dsn: str
) -> None:
    async with a_site(tmp_path, on(dsn), latency_ms=300) as site:
        assert site.service.process is not None
        family = psutil.Process(site.service.process.pid).children(recursive=True)
        asking = [asyncio.create_task(site.ask(f"{number}@switch")) for number in range(4)]
        counts = site.buyers.buyer("acme").counts
        await eventually(lambda: counts.pings == 4)
        began = asyncio.get_running_loop().time()
        assert await site.service.stop() == 0
        assert asyncio.get_running_loop().time() - began < 10
        assert {status for status, _ in await asyncio.gather(*asking)} == {200}
        assert not any(map(_lives, family))


async def test_workers_end_with_a_parent_that_was_killed_and_a_new_one_finds_all(
    tmp_path: Path,
) -> None:
    async with a_site(tmp_path, {}) as site:
        before = await site.ask("1@switch")
        assert site.service.process is not None
        family = psutil.Process(site.service.process.pid).children(recursive=True)
        await site.service.kill()
        await eventually(lambda: not any(map(_lives, family)), within_s=8)
        await site.service.start()
        assert await site.ask("1@switch") == before


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
