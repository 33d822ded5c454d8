"""The primary of a synchronous pair dies: the standby takes over, and nothing said is lost."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from buyers.simulator.server import SimulatedBuyers
from config.secret_box import new_key
from tests.e2e.machines import PatientSwitch, ServiceMachine, a_patient_switch
from tests.e2e.market import (
    LIMITS,
    a_call,
    decisions,
    held,
    marketplace,
    remembering_buyers,
    routes,
)
from tests.e2e.network import Machine
from tests.e2e.report import Report
from tests.e2e.sales import sold_otherwise
from tests.eventually import eventually
from tests.postgres_cluster import WITHIN_S, Pair, a_pair

DATABASE = "calls"
CAMPAIGN = "failover"
AT_ONCE = 16
KILL_AT = 30
MORE = 12
REFUSED = 2 * AT_ONCE
"""Calls that are refused before anybody promotes the standby."""


@dataclass(slots=True)
class Conversation:
    """What a switch asked and was told: decisions by call, and the ends of calls."""

    service: ServiceMachine
    pair: Pair
    answers: dict[int, bytes] = field(default_factory=dict)
    ended: list[int] = field(default_factory=list)
    killed_at: float = 0.0
    first_after: float = 0.0

    async def ask(self, switch: PatientSwitch, numbers: range) -> None:
        """Calls, ``AT_ONCE`` at a time; each third one that is routed by auction ends at once."""
        waiting = iter(numbers)

        async def ask_on() -> None:
            for number in waiting:
                await self._one(switch, number)

        await asyncio.gather(*(ask_on() for _ in range(AT_ONCE)))

    async def _one(self, switch: PatientSwitch, number: int) -> None:
        began = asyncio.get_running_loop().time()
        answer = await switch.route(a_call(CAMPAIGN, number, timeout_ms=2_000))
        self.answers[number] = answer
        if len(self.answers) >= KILL_AT and not self.killed_at:
            self.pair.primary.kill()
            self.killed_at = asyncio.get_running_loop().time()
        elif self.killed_at and began > self.killed_at and not self.first_after:
            self.first_after = asyncio.get_running_loop().time()
        decision = json.loads(answer)
        if number % 3 == 0 and decision["action"] == "route" and "cobalt" not in decision["offer"]:
            await switch.report(an_end(number))
            self.ended.append(number)

    async def fill(self, switch: PatientSwitch, first: int) -> None:
        """Further calls, until there is no room anywhere."""
        number, unrouted = first, 0
        while unrouted < MORE:
            await self._one(switch, number)
            routed = json.loads(self.answers[number])["action"] == "route"
            number, unrouted = number + 1, 0 if routed else unrouted + 1


async def test_a_standby_takes_over_and_nothing_acknowledged_is_lost(
    tmp_path: Path, report: Report, *, short: bool
) -> None:
    calls = 120 if short else 300
    async with (
        a_pair(tmp_path, DATABASE) as pair,
        remembering_buyers("127.0.0.1") as buyers,
        a_service_on(pair, tmp_path, buyers) as service,
        a_patient_switch(service.url) as switch,
    ):
        talk = Conversation(service, pair)
        await _without_standby(switch, talk, report)
        asking = asyncio.create_task(talk.ask(switch, range(10, calls)))
        await eventually(lambda: switch.refusals.get("503", 0) >= REFUSED, within_s=WITHIN_S)
        await pair.standby.promote()
        await asking
        await talk.fill(switch, calls)
        report.equal("all that calls were told instead of an answer", ["503"], [*switch.refusals])
        assert switch.longest_s < 3, "an answer, or a refusal, takes no longer than the call allows"
        await _compare(talk, switch, buyers, report)
        await _old_primary_comes_back(talk, switch, report, restart=not short)


async def _without_standby(switch: PatientSwitch, talk: Conversation, report: Report) -> None:
    """While the standby is away nothing can be confirmed, so nothing is answered."""
    await talk.pair.standby.stop()
    call = a_call(CAMPAIGN, 0, timeout_ms=1_000)
    async with switch.session.post(f"{switch.url}/v1/calls", json=call) as reply:
        await reply.read()
    report.equal("a call while the standby is away", 503, reply.status)
    await talk.pair.standby.start()
    await eventually(talk.pair.is_synchronous, within_s=WITHIN_S)
    for number in range(10):
        await talk._one(switch, number)


async def _compare(
    talk: Conversation, switch: PatientSwitch, buyers: SimulatedBuyers, report: Report
) -> None:
    routed = routes(talk.answers.values())
    report.fact("calls answered / without a route", f"{len(talk.answers)} / {routed['no_route']}")
    report.fact("tries / told instead of an answer", f"{switch.tries} / {switch.refusals}")
    report.fact("s from the kill to the first answer", round(talk.first_after - talk.killed_at, 1))
    report.fact("longest answer in s, of 2 s allowed for a call", round(switch.longest_s, 2))
    wanted = {f"{offer}-{CAMPAIGN}": limit for offer, limit in LIMITS.items()}
    del routed["no_route"]
    report.equal("calls routed, per offer", wanted, dict(routed))
    kept = await held(talk.pair.standby, DATABASE, CAMPAIGN)
    report.equal("held on the new primary, per offer", wanted, dict(kept))
    again = {
        number: await switch.route(a_call(CAMPAIGN, number, timeout_ms=2_000))
        for number in talk.answers
    }
    changed = [number for number in again if again[number] != talk.answers[number]]
    report.equal("calls answered otherwise by the new primary", [], changed)
    lost = [n for n in talk.ended if not await _has_ended(switch, n)]
    report.equal("acknowledged ends of calls that were lost", [], lost)
    report.fact("ends of calls that were acknowledged", len(talk.ended))
    known = decisions(CAMPAIGN, talk.answers.items())
    wrong = await sold_otherwise(known, buyers, switch.session, switch.url)
    report.equal("calls sold twice, or to another than answered", [], wrong)


async def _old_primary_comes_back(
    talk: Conversation, switch: PatientSwitch, report: Report, *, restart: bool
) -> None:
    """As it was, first in the URL, and waiting for nobody: it must not get a single call."""
    old = talk.pair.primary
    await old.start()
    await old.configure("synchronous_standby_names", "")
    before = await old.value("select count(*) from calls", database=DATABASE)
    first = max(talk.answers) + 1
    await talk.ask(switch, range(first, first + 20))
    if restart:
        await talk.service.stop()
        await talk.service.start()
    await talk.ask(switch, range(first + 20, first + 40))
    after = await old.value("select count(*) from calls", database=DATABASE)
    report.equal("calls on the old primary, before and after 40 more", before, after)
    count = "select count(*) from calls where call_id = any($1)"
    ids = [f"{CAMPAIGN}-{number}@switch" for number in range(first, first + 40)]
    new = await talk.pair.standby.value(count, ids, database=DATABASE)
    report.equal("of these 40 on the new primary", 40, new)


async def _has_ended(switch: PatientSwitch, number: int) -> bool:
    address = f"{switch.url}/v1/calls/{CAMPAIGN}-{number}@switch"
    async with switch.session.get(address) as reply:
        cdr = (await reply.json())["cdr"]
    return bool(cdr["ended_at"] is not None and cdr["connected_duration_s"] == 100)


def an_end(number: int) -> dict[str, object]:
    """The report that a call has ended after a connection of 100 s."""
    return {
        "call_id": f"{CAMPAIGN}-{number}@switch",
        "event_id": f"end-{number}",
        "type": "ended",
        "attempt": 1,
        "at": "2026-11-28T18:00:05Z",
        "total_duration_s": 110,
        "connected_duration_s": 100,
        "ended_by": "caller",
    }


@asynccontextmanager
async def a_service_on(
    pair: Pair, folder: Path, buyers: SimulatedBuyers
) -> AsyncIterator[ServiceMachine]:
    """A service whose URL names both servers."""
    file = folder / "marketplace.yaml"
    file.write_text(marketplace([CAMPAIGN], buyers, "127.0.0.1"))
    environment = {
        "PINGPOST_DSN": pair.url(DATABASE),
        "PINGPOST_SECRET_KEY": new_key(),
        "PINGPOST_OUTBOUND_ALLOW": "127.0.0.0/8",
    }
    arguments = ("--marketplace", str(file))
    machine = Machine((), "127.0.0.1", "127.0.0.1")
    service = ServiceMachine("service", folder, machine, environment, arguments)
    try:
        await service.start()
        yield service
    finally:
        await service.stop()
