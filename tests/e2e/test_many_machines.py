"""Two services on one PostgreSQL behind HAProxy: caps exact, one answer a call, whatever fails."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from buyers.simulator.server import SimulatedBuyers
from config.secret_box import new_key
from tests.e2e.machines import (
    HAProxy,
    PatientSwitch,
    ServiceMachine,
    a_haproxy,
    a_patient_switch,
    services,
)
from tests.e2e.market import (
    LIMITS,
    a_call,
    decisions,
    held,
    marketplace,
    pings,
    remembering_buyers,
    routes,
)
from tests.e2e.network import Machine, Network, a_network
from tests.e2e.report import Report
from tests.e2e.sales import sold_otherwise
from tests.eventually import eventually
from tests.postgres_cluster import DatabaseServer, a_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

DATABASE = "calls"
CAMPAIGNS = ("waves", "repeats", "killed", "cut")
WAVE = 100
REPEATED = 40
AT_ONCE = 24
MORE = 12
"""Calls that must all end without a route before every offer counts as full."""


@dataclass(frozen=True, slots=True)
class Site:
    """Everything that runs."""

    network: Network
    database: DatabaseServer
    one: ServiceMachine
    two: ServiceMachine
    haproxy: HAProxy
    buyers: SimulatedBuyers

    async def ask(
        self, switch: PatientSwitch, campaign: str, numbers: range, on_answer: Callable[[int], None]
    ) -> list[tuple[int, bytes]]:
        """The answers to calls, ``AT_ONCE`` at a time; ``on_answer`` is told how many there are."""
        waiting, answers = iter(numbers), list[tuple[int, bytes]]()

        async def ask_on() -> None:
            for number in waiting:
                answers.append((number, await switch.route(a_call(campaign, number))))
                on_answer(len(answers))

        await asyncio.gather(*(ask_on() for _ in range(AT_ONCE)))
        return answers

    async def fill(
        self, switch: PatientSwitch, campaign: str, first: int
    ) -> list[tuple[int, bytes]]:
        """Further calls, until there is no room anywhere."""
        answers: list[tuple[int, bytes]] = []
        number, unrouted = first, 0
        while unrouted < MORE:
            answer = await switch.route(a_call(campaign, number))
            answers.append((number, answer))
            number += 1
            unrouted = unrouted + 1 if json.loads(answer)["action"] == "no_route" else 0
        return answers

    async def compare(
        self, switch: PatientSwitch, report: Report, campaign: str, answers: list[tuple[int, bytes]]
    ) -> None:
        """Every limit is reached and none exceeded, by answers, database and buyers alike."""
        routed = routes(answer for _, answer in answers)
        unrouted = routed.pop("no_route", 0)
        wanted = {f"{offer}-{campaign}": limit for offer, limit in LIMITS.items()}
        report.fact(
            "calls / without a route, every offer being full", f"{len(answers)} / {unrouted}"
        )
        report.equal("calls answered once each", len(answers), len({n for n, _ in answers}))
        report.equal("calls routed, per offer", wanted, dict(routed))
        kept = await held(self.database, DATABASE, campaign)
        report.equal("held in the database, per offer", wanted, dict(kept))
        known = decisions(campaign, answers)
        wrong = await sold_otherwise(known, self.buyers, switch.session, switch.url)
        report.equal("calls sold twice, or to another than answered", [], wrong)

    async def ask_again(
        self, switch: PatientSwitch, answers: list[tuple[int, bytes]], campaign: str
    ) -> int:
        """How many calls get another answer when they are asked for again."""
        again = await asyncio.gather(
            *(switch.route(a_call(campaign, number)) for number, _ in answers)
        )
        return sum(new != old for new, (_, old) in zip(again, answers, strict=True))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    folder = tmp_path_factory.mktemp("machines")
    async with a_network() as network:
        database = a_server(
            folder, "database", network.database.address, prefix=network.database.prefix
        )
        database.settings = {"listen_addresses": "*" if network.can_be_cut else database.host}
        async with remembering_buyers(network.listen) as buyers:
            try:
                await database.make()
                await database.start()
                await database.value(f"create database {DATABASE}")
                async for whole in _with_services(folder, network, database, buyers):
                    yield whole
            finally:
                await database.stop()


async def _with_services(
    folder: Path, network: Network, database: DatabaseServer, buyers: SimulatedBuyers
) -> AsyncIterator[Site]:
    key = new_key()
    file = folder / "marketplace.yaml"
    file.write_text(marketplace(CAMPAIGNS, buyers, network.here))

    def environment(machine: Machine) -> dict[str, str]:
        return {
            "PINGPOST_DSN": f"postgresql://pingpost@{machine.database}:{database.port}/{DATABASE}",
            "PINGPOST_SECRET_KEY": key,
            "PINGPOST_OUTBOUND_ALLOW": "10.0.0.0/8,127.0.0.0/8",
        }

    async with (
        services(network, folder, environment, file) as made,
        a_haproxy(folder, made["one"], made["two"]) as haproxy,
    ):
        yield Site(network, database, made["one"], made["two"], haproxy, buyers)


async def test_caps_are_exact_under_waves_of_calls(
    site: Site, report: Report, *, short: bool
) -> None:
    report.fact("machines", site.network.kind)
    waves = 2 if short else 3
    async with a_patient_switch(site.haproxy.url) as switch:
        answers: list[tuple[int, bytes]] = []
        for wave in range(waves):
            numbers = range(wave * WAVE, (wave + 1) * WAVE)
            asked = [switch.route(a_call("waves", number)) for number in numbers]
            answers += zip(numbers, await asyncio.gather(*asked), strict=True)
        answers += await site.fill(switch, "waves", waves * WAVE)
        report.fact("calls at once", WAVE)
        await site.compare(switch, report, "waves", answers)
        report.equal("other answers to repeats", 0, await site.ask_again(switch, answers, "waves"))


async def test_a_call_that_is_asked_of_both_services_at_once_gets_one_answer(
    site: Site, report: Report
) -> None:
    numbers = range(REPEATED)
    before = {name: len(asked) for name, asked in pings(site.buyers).items()}
    async with a_patient_switch(site.one.url) as one, a_patient_switch(site.two.url) as two:
        asked = [each.route(a_call("repeats", n)) for n in numbers for each in (one, two)]
        told = await asyncio.gather(*asked)
        answers = list(zip(numbers, told[::2], strict=True))
        pairs = zip(told[::2], told[1::2], strict=True)
        report.fact("calls that two switches asked for at once, one of each service", REPEATED)
        report.equal("calls answered differently by the two", 0, sum(a != b for a, b in pairs))
        routed = routes(answer for _, answer in answers)
        report.equal("calls routed, per offer", {"acme-repeats": REPEATED}, dict(routed))
        known = decisions("repeats", answers)
        wrong = await sold_otherwise(known, site.buyers, one.session, one.url)
    report.equal("calls sold twice, or to another than answered", [], wrong)
    after = {name: len(asked) for name, asked in pings(site.buyers).items()}
    more = {name: after[name] - before[name] for name in after}
    report.equal("pings, per buyer", dict.fromkeys(more, REPEATED), more)


async def test_a_service_that_is_cut_off_from_the_database_is_taken_out_and_comes_back(
    site: Site, report: Report, *, short: bool
) -> None:
    if not site.network.can_be_cut:
        pytest.skip("no network namespaces here (root and CAP_SYS_ADMIN make them): no link to cut")
    calls = 120 if short else 300
    cutting: list[asyncio.Task[None]] = []

    def cut(answered: int) -> None:
        if answered == 20:
            cutting.append(asyncio.create_task(site.network.cut("one")))

    async with a_patient_switch(site.haproxy.url, slack_ms=4_000) as switch:
        answers = await site.ask(switch, "cut", range(calls // 2), cut)
        await asyncio.gather(*cutting)
        await eventually(lambda: _is_not_ready(site.one), within_s=15)
        await site.haproxy.becomes(one="DOWN", two="UP")
        await _says_503_in_time(site.one, report)
        answers += await site.ask(switch, "cut", range(calls // 2, calls), lambda _: None)
        report.fact("what the switch was told instead of an answer", switch.refusals)
        await site.network.mend("one")
        await site.haproxy.becomes(one="UP", two="UP")
        answers += await site.fill(switch, "cut", calls)
        await site.compare(switch, report, "cut", answers)
    async with a_patient_switch(site.one.url) as alone:
        again = await site.ask_again(alone, answers, "cut")
        report.equal("other answers by the one that was away", 0, again)


async def _is_not_ready(service: ServiceMachine) -> bool:
    return await service.readiness() == 503


async def _says_503_in_time(service: ServiceMachine, report: Report) -> None:
    loop = asyncio.get_running_loop()
    async with a_patient_switch(service.url) as switch:
        began = loop.time()
        async with switch.session.post(
            f"{service.url}/v1/calls", json=a_call("cut", 9_000, timeout_ms=1_000)
        ) as reply:
            await reply.read()
        took_ms = (loop.time() - began) * 1000
    report.equal("asked directly while it is cut off", 503, reply.status)
    assert reply.headers["Retry-After"]
    report.fact("after ms, of the 1000 that the switch allowed", round(took_ms))
    assert took_ms < 2_000


async def test_a_service_that_is_killed_loses_no_call_and_sells_none_twice(
    site: Site, report: Report, *, short: bool
) -> None:
    calls = 120 if short else 300

    def kill(answered: int) -> None:
        if answered == 30:
            site.one.kill()

    async with a_patient_switch(site.haproxy.url, slack_ms=4_000) as switch:
        answers = await site.ask(switch, "killed", range(calls), kill)
        await site.haproxy.becomes(one="DOWN", two="UP")
        report.fact("what the switch was told instead of an answer", switch.refusals)
        report.fact("tries", switch.tries)
        await site.one.start()
        await site.haproxy.becomes(one="UP", two="UP")
        answers += await site.fill(switch, "killed", calls)
        await site.compare(switch, report, "killed", answers)
        report.equal("other answers to repeats", 0, await site.ask_again(switch, answers, "killed"))
