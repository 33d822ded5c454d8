"""The service or the switch dies or stalls while calls are up: none is lost, all settles."""

import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from tests.e2e import sip_comparing as comparing
from tests.e2e.report import Report
from tests.e2e.sip_plans import (
    AFTERWARDS,
    ASKED_OVER,
    MEANWHILE,
    PRICES,
    RINGS_OVER,
    TALKS_OVER,
    VANISHES,
    Plan,
    callers,
)
from tests.e2e.sip_steps import DESK, Cdr, Surroundings, surroundings
from tests.e2e.sipp import Sipp, start_callers
from tests.eventually import eventually

TALKING, RINGING, ASKED, DURING, AFTER, STALLED, VANISHING = 8, 3, 3, 8, 3, 4, 2
ANSWERED_WITHIN_MS = 6000
CLOCKS_AGREE_WITHIN_MS = 250


async def _start(around: Surroundings, plan: Plan, count: int) -> Sipp:
    return await start_callers(
        around.folder,
        plan.scenario,
        list(callers(plan, count)),
        around.switch.port,
        at_once=count,
        name=f"callers-{plan.code}",
    )


async def _all_right(report: Report, what: str, sipp: Sipp, count: int) -> None:
    code = await sipp.ended(within_s=30.0)
    assert not sipp.errors, sipp.errors
    report.equal(f"{what}: exit code of sipp", 0, code)
    report.equal(f"{what}: calls", {"made": count, "right": count, "wrong": 0}, sipp.statistics())


def _of(cdrs: Sequence[Cdr], plan: Plan) -> list[Cdr]:
    numbers = {each.number for each in callers(plan, 100)}
    return [cdr for cdr in cdrs if cdr["caller_id"] in numbers]


async def _at(around: Surroundings, plan: Plan, count: int, stage: str) -> None:
    """Wait until so many calls of a plan have come as far as ``stage``, a key of their CDRs."""

    async def reached() -> bool:
        return sum(bool(cdr[stage]) for cdr in _of(await around.cdrs(), plan)) == count

    await eventually(reached, within_s=10.0, every_s=0.02)


async def _nothing_is_held(report: Report, around: Surroundings, within_s: float) -> None:
    async def held() -> dict[str, int]:
        usages = {offer: await around.usage(offer) for offer in PRICES}
        live = {offer: usage["concurrency"][0]["live"] for offer, usage in usages.items()}
        assert not any(live.values()), live
        return live

    report.equal(
        "slots still held", dict.fromkeys(PRICES, 0), await eventually(held, within_s=within_s)
    )


async def test_kill_9_of_the_service_loses_no_call_and_after_its_restart_everything_settles(
    tmp_path: Path, report: Report
) -> None:
    async with surroundings(tmp_path, cap=30) as around:
        talking = await _start(around, TALKS_OVER, TALKING)
        await _at(around, TALKS_OVER, TALKING, "answered_at")
        ringing = await _start(around, RINGS_OVER, RINGING)
        await _at(around, RINGS_OVER, RINGING, "offer")
        asked = await _start(around, ASKED_OVER, ASKED)
        await _pinged(around, ASKED)
        await around.service.kill()
        during = await _start(around, MEANWHILE, DURING)
        await _all_right(report, "called meanwhile", during, DURING)
        await _all_right(report, "rang when it died", ringing, RINGING)
        await _all_right(report, "was being decided when it died", asked, ASKED)
        await _all_right(report, "talked when it died", talking, TALKING)
        _fell_back(report, around, {MEANWHILE: DURING, RINGS_OVER: RINGING, ASKED_OVER: ASKED})

        await around.service.start()
        await _ended(around, TALKS_OVER, TALKING)
        after = await _start(around, AFTERWARDS, AFTER)
        await _all_right(report, "called after its restart", after, AFTER)
        asked_about = [each.number for each in callers(ASKED_OVER, ASKED)]
        cdrs = await around.settled(within_s=20.0, apart_from=asked_about)
        await _nothing_is_held(report, around, within_s=20.0)
        _billed_right(report, cdrs, [talking, after])
        _was_let_go(report, cdrs)
        assert "given up" not in around.switch.log
        await around.nothing_is_left_at_the_switch(report)


async def _pinged(around: Surroundings, count: int) -> None:
    """Wait until so many calls are being decided: their buyer takes ``SLOW_MS`` to answer."""

    async def arrived() -> bool:
        return (await around.pings("slow-bidder")) == count

    await eventually(arrived, within_s=10.0, every_s=0.01)


def _fell_back(report: Report, around: Surroundings, counts: Mapping[Plan, int]) -> None:
    wanted = sorted(each.number for plan, count in counts.items() for each in callers(plan, count))
    report.equal("callers at the switch's own desk", wanted, sorted(around.centres[DESK].called()))


async def _ended(around: Surroundings, plan: Plan, count: int) -> None:
    """Wait until the reports that could not be delivered have arrived."""
    await _at(around, plan, count, "ended_at")


def _billed_right(report: Report, cdrs: Sequence[Cdr], answered: Sequence[Sipp]) -> None:
    talked = comparing.talked_ms(answered)
    found = {cdr["caller_id"]: cdr for cdr in cdrs if cdr["connected_duration_s"]}
    report.equal("callers who talked", sorted(talked), sorted(found))
    apart = comparing.furthest_apart_ms(found, talked)
    report.fact("CDR's connected time and sipp's apart, at most, ms", apart)
    assert apart <= CLOCKS_AGREE_WITHIN_MS
    earned = comparing.earned(talked, dict.fromkeys(talked, "beta-open"))
    report.equal("revenue", earned, sum((Decimal(cdr["revenue"]) for cdr in cdrs), Decimal()))


def _was_let_go(report: Report, cdrs: Sequence[Cdr]) -> None:
    """The calls that rang, or were being decided, when the service died went on without it.

    Nobody asks again about the latter, so no decision comes, and their records stay as they are.
    """
    asked = {(cdr["state"], cdr["offer"]) for cdr in _of(cdrs, ASKED_OVER)}
    asked -= {("deciding", None)}
    report.equal("decisions on calls that were being decided when it died", set(), asked)
    seen = [(cdr["state"], cdr["ended_by"], cdr["converted"]) for cdr in _of(cdrs, RINGS_OVER)]
    report.equal("calls that rang when it died", [("ended", "system", False)] * RINGING, seen)


async def test_a_service_that_stalls_holds_no_caller_up_and_keeps_nothing(
    tmp_path: Path, report: Report
) -> None:
    async with surroundings(tmp_path, cap=30, patience_s=2) as around:
        ringing = await _start(around, RINGS_OVER, RINGING)
        await _at(around, RINGS_OVER, RINGING, "offer")
        with _stalled(around):
            stalled = await _start(around, MEANWHILE, STALLED)
            await _all_right(report, "called meanwhile", stalled, STALLED)
            await _all_right(report, "rang when it stalled", ringing, RINGING)
        waited = max(each.at_ms for each in stalled.moments() if each.what == "answered")
        report.fact("the longest wait for an answer, ms", waited)
        assert waited < ANSWERED_WITHIN_MS
        _fell_back(report, around, {MEANWHILE: STALLED, RINGS_OVER: RINGING})

        await _at(around, MEANWHILE, STALLED, "ended_at")
        cdrs = await around.settled(within_s=20.0)
        await _nothing_is_held(report, around, within_s=20.0)
        report.fact("calls that it decided too late", sum(bool(cdr["offer"]) for cdr in cdrs))
        report.equal("revenue", {"0.00"}, {cdr["revenue"] for cdr in cdrs})
        await around.nothing_is_left_at_the_switch(report)


@contextmanager
def _stalled(around: Surroundings) -> Iterator[None]:
    """The service's process stands still: its socket takes connections, and nobody answers."""
    assert around.service.process is not None
    around.service.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        around.service.process.send_signal(signal.SIGCONT)


async def test_kill_9_of_the_switch_ends_no_talk_and_bills_each_in_full(
    tmp_path: Path, report: Report
) -> None:
    async with surroundings(tmp_path, cap=30) as around:
        talking = await _start(around, TALKS_OVER, TALKING)
        await _at(around, TALKS_OVER, TALKING, "answered_at")
        await around.switch.kill()
        await around.switch.start()
        await _all_right(report, "talked when it died", talking, TALKING)
        cdrs = await around.settled(within_s=20.0)
        await _nothing_is_held(report, around, within_s=5.0)
        _billed_right(report, cdrs, [talking])


async def test_calls_whose_ends_are_gone_keep_no_slot(
    tmp_path: Path, short: bool, report: Report
) -> None:
    """Nobody says BYE: with the switch gone too its list tells, else its keep-alives do."""
    if short:
        pytest.skip("a minute of keep-alives: in the long form only")
    async with surroundings(tmp_path, cap=30) as around:
        await _vanish(around, TALKS_OVER, "beta-open")
        await around.switch.kill()
        await around.switch.start()
        await _vanish(around, VANISHES, "alpha-capped")
        await _nothing_is_held(report, around, within_s=150.0)
        cdrs = await around.cdrs()
        lost = [(cdr["state"], cdr["revenue"]) for cdr in _of(cdrs, TALKS_OVER)]
        report.equal("calls that the switch lost", [("lost", "0.00")] * VANISHING, lost)
        ended = [(cdr["state"], cdr["ended_by"]) for cdr in _of(cdrs, VANISHES)]
        report.equal("calls that it found dead", [("ended", "system")] * VANISHING, ended)
        await around.nothing_is_left_at_the_switch(report)


async def _vanish(around: Surroundings, plan: Plan, offer: str) -> None:
    """Some talk, and both ends go without a word."""
    talking = await _start(around, plan, VANISHING)
    await _at(around, plan, VANISHING, "answered_at")
    await talking.stop()
    await around.centres[offer].stop()
