"""Kamailio asks the service where calls go, and tells it what became of them."""

import asyncio
import random
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from tests.e2e import sip_comparing as comparing
from tests.e2e.kamailio_switch import CONFIGURATION, environment
from tests.e2e.programs import program
from tests.e2e.report import Report
from tests.e2e.sip_plans import FULL, PLANS, PRICES, Caller, callers, of_scenario
from tests.e2e.sip_steps import Cdr, Surroundings, surroundings
from tests.e2e.sipp import Sipp, start_callers

AT_ONCE = 20
CLOCKS_AGREE_WITHIN_MS = 250

FULL_COUNTS = {
    **{plan.name: 8 for plan in PLANS},
    FULL: 60,
    "answered": 30,
    "gone too soon": 16,
    "busy, then answered": 20,
    "unavailable, then answered": 12,
    "two busy, then a static offer": 10,
    "no sign of life, then answered": 4,
}
SHORT_COUNTS = {**{plan.name: 1 for plan in PLANS}, FULL: 9, "answered": 4, "gone too soon": 4}
FULL_CAP, SHORT_CAP = 30, 5


def test_the_configuration_is_one_that_kamailio_takes(tmp_path: Path) -> None:
    checked = _check(environment(tmp_path, 5060))
    assert checked.returncode == 0, checked.stderr


def test_without_a_token_kamailio_does_not_start(tmp_path: Path) -> None:
    settings = environment(tmp_path, 5060)
    del settings["PINGPOST_TOKEN"]
    checked = _check(settings)
    assert checked.returncode != 0
    assert "PINGPOST_TOKEN" in checked.stderr


def _check(settings: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    command = (str(program("kamailio")), "-c", "-E", "-f", str(CONFIGURATION))
    return subprocess.run(
        command, env=dict(settings), capture_output=True, text=True, timeout=60, check=False
    )


async def test_calls_of_every_kind_end_as_planned_with_exact_caps_and_revenue(
    tmp_path: Path, short: bool, report: Report
) -> None:
    counts, cap = (SHORT_COUNTS, SHORT_CAP) if short else (FULL_COUNTS, FULL_CAP)
    everyone = [each for plan in PLANS for each in callers(plan, counts[plan.name])]
    random.Random(20).shuffle(everyone)
    async with surroundings(tmp_path, cap=cap) as around:
        played = await _call(around, everyone)
        cdrs = await around.settled(within_s=20.0)
        report.fact("calls", len(everyone))
        _compare_sip(report, played, everyone)
        _compare_outcomes(report, cdrs, everyone, cap)
        _compare_money(report, cdrs, comparing.talked_ms(played), around)
        await _compare_capacity(report, around, cap)
        report.fact("most calls at once", comparing.peak(cdrs))
        assert short or comparing.peak(cdrs) >= AT_ONCE
        _compare_logs(report, around)
        await around.nothing_is_left_at_the_switch(report)


async def _call(around: Surroundings, everyone: Sequence[Caller]) -> list[Sipp]:
    """All call, each scenario in a sipp of its own, those who stay twenty at once."""
    scenarios = sorted({each.plan.scenario for each in everyone})
    played = [
        await start_callers(
            around.folder,
            scenario,
            of_scenario(everyone, scenario),
            around.switch.port,
            at_once=AT_ONCE if scenario == "stays" else 2,
        )
        for scenario in scenarios
    ]
    await asyncio.gather(*(each.ended(within_s=180.0) for each in played))
    return played


def _compare_sip(report: Report, played: Sequence[Sipp], everyone: Sequence[Caller]) -> None:
    for sipp in played:
        wanted = {"made": len(of_scenario(everyone, sipp.name)), "wrong": 0}
        wanted["right"] = wanted["made"]
        assert not sipp.errors, sipp.errors
        report.equal(f"sipp {sipp.name}: exit code", 0, sipp.process.returncode)
        report.equal(f"sipp {sipp.name}: calls", wanted, sipp.statistics())


def _compare_outcomes(
    report: Report, cdrs: Sequence[Cdr], everyone: Sequence[Caller], cap: int
) -> None:
    found = {cdr["caller_id"]: cdr for cdr in cdrs}
    report.equal("CDRs", len(everyone), len(cdrs))
    report.equal("callers with a CDR", len(everyone), len(found))
    for plan in PLANS:
        numbers = [each.number for each in everyone if each.plan is plan]
        seen = Counter(comparing.seen(found[number]) for number in numbers)
        report.equal(plan.name, comparing.wanted_of(plan, len(numbers), cap), seen)


def _compare_money(
    report: Report, cdrs: Sequence[Cdr], talked: Mapping[str, int], around: Surroundings
) -> None:
    found = {cdr["caller_id"]: cdr for cdr in cdrs if cdr["connected_duration_s"]}
    report.equal("callers who talked", sorted(talked), sorted(found))
    apart = comparing.furthest_apart_ms(found, talked)
    report.fact("CDR's connected time and sipp's apart, at most, ms", apart)
    assert apart <= CLOCKS_AGREE_WITHIN_MS
    answered_at = comparing.last_called(around.centres, list(PRICES))
    revenue = sum((Decimal(cdr["revenue"]) for cdr in cdrs), Decimal())
    report.equal("revenue", comparing.earned(talked, answered_at), revenue)


async def _compare_capacity(report: Report, around: Surroundings, cap: int) -> None:
    for offer in PRICES:
        usage = await around.usage(offer)
        report.equal(f"{offer}: slots still held", 0, usage["concurrency"][0]["live"])
        for each in usage["caps"]:
            report.equal(f"{offer}: cap", (cap, 0), (each["used"], each["pending"]))
    best = len(around.centres["alpha-capped"].called())
    report.equal("calls at the best buyer's call centre", cap, best)


def _compare_logs(report: Report, around: Surroundings) -> None:
    for offer, centre in around.centres.items():
        report.equal(f"call centre of {offer}: surprises", "", centre.errors)
    faults = [line for line in around.switch.log.splitlines() if "ERROR" in line or "CRIT" in line]
    report.equal("kamailio's errors", [], faults)
