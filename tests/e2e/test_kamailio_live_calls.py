"""Kamailio lists its live calls to the service: all of them, however many, or none."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from tests.e2e.kamailio_switch import NAME, a_kamailio
from tests.e2e.report import Report
from tests.e2e.sip_plans import LISTED, PRICES, callers
from tests.e2e.sip_steps import Surroundings, surroundings
from tests.e2e.sipp import Sipp, start_callers
from tests.eventually import eventually

FITTING, TOO_MANY = 5000, 5500
LIST_BYTES = 524_288
A_SECOND, ROUTED_SHARE = 20, 0.9
OFFER = "gamma-many"
LISTED_WITHIN_S = 45.0
DOES_NOT_FIT = "live calls does not fit and is not sent"


@dataclass(slots=True)
class Lists:
    """What a switch sent as its live calls."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        """The API's path; the answer is not looked at but for its status."""
        self.bodies.append(await request.read())
        return web.json_response({})


@asynccontextmanager
async def a_listener() -> AsyncIterator[Lists]:
    lists, application = Lists(), web.Application(client_max_size=2 * LIST_BYTES)
    application.router.add_post(f"/v1/switches/{NAME}/live-calls", lists.take)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        lists.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield lists
    finally:
        await runner.cleanup()


def _ids(count: int) -> list[str]:
    """As long as they are with Call-IDs of 80 characters."""
    return [f"{number:080}-1@{NAME}" for number in range(count)]


async def test_a_list_of_thousands_is_sent_whole_and_one_that_does_not_fit_not_at_all(
    tmp_path: Path, report: Report
) -> None:
    async with a_listener() as lists, a_listener() as none:
        fits = a_kamailio(tmp_path / "fits", PINGPOST_URL=lists.url)
        does_not = a_kamailio(tmp_path / "does-not", PINGPOST_URL=none.url)
        async with fits as switch, does_not as full:
            await switch.set_live(_ids(FITTING))
            await full.set_live(_ids(TOO_MANY))
            await eventually(lambda: lists.bodies, within_s=LISTED_WITHIN_S, every_s=0.2)
            await eventually(lambda: DOES_NOT_FIT in full.log, within_s=LISTED_WITHIN_S)
            listed = json.loads(lists.bodies[0])["call_ids"]
            report.fact("bytes of the list", len(lists.bodies[0]))
            report.equal("calls of the list", FITTING, len(listed))
            report.equal("calls that only one side has", set(), set(_ids(FITTING)) ^ set(listed))
            report.equal("lists that did not fit, sent", 0, len(none.bodies))


@pytest.mark.parametrize(
    ("count", "list_bytes"), [(800, LIST_BYTES), (150, 8192)], ids=["listed", "does-not-fit"]
)
async def test_calls_that_are_up_keep_their_slots_whether_or_not_their_list_fits(
    tmp_path: Path, short: bool, report: Report, count: int, list_bytes: int
) -> None:
    """One call is taken off the list: it is lost where a list came, and nothing else ever is."""
    if short:
        pytest.skip("two minutes of talk: in the long form only")
    async with (
        surroundings(tmp_path, cap=30, SWITCH_LIST_BYTES=str(list_bytes)) as around,
        _callers(around, count) as talking,
    ):
        routed = await _all_are_up(around, talking, count)
        report.fact("calls at once", len(routed))
        assert len(routed) >= count * ROUTED_SHARE
        first = routed[-1]
        await around.switch.ask("htable.delete", "live", first)
        fits = list_bytes == LIST_BYTES
        await (_is_lost(around, first) if fits else _no_list_fits(around))
        lost = [cdr["call_id"] for cdr in await around.cdrs() if cdr["state"] == "lost"]
        report.equal("calls that were closed as lost", [first] if fits else [], lost)
        usage = await around.usage(OFFER)
        slots = usage["concurrency"][0]["live"]
        report.equal("slots that are held", len(routed) - len(lost), slots)
        report.equal("callers who were cut off", None, talking.process.returncode)
        report.equal("exit code of sipp", 0, await talking.ended(within_s=150.0))
        assert not talking.errors, talking.errors
        await _all_settled(report, around, len(routed))


@asynccontextmanager
async def _callers(around: Surroundings, count: int) -> AsyncIterator[Sipp]:
    """So many call and talk; they are ended at the end whatever happens."""
    talking = await start_callers(
        around.folder,
        LISTED.scenario,
        list(callers(LISTED, count)),
        around.switch.port,
        at_once=count,
        a_second=A_SECOND,
    )
    try:
        yield talking
    finally:
        await talking.stop()


async def _all_are_up(around: Surroundings, talking: Sipp, count: int) -> list[str]:
    """Wait until all talk; the ids of those that the service routed, newest first.

    On a machine that is too busy some fall back to the switch's desk: those are not the service's.
    """
    await eventually(lambda: len(talking.moments()) == count, within_s=80.0, every_s=0.5)

    async def routed() -> list[str]:
        cdrs = [cdr for cdr in await around.cdrs() if cdr["offer"] == OFFER]
        assert all(cdr["answered_at"] for cdr in cdrs), len(cdrs)
        return [cdr["call_id"] for cdr in cdrs]

    return await eventually(routed, within_s=20.0, every_s=2.0)


async def _is_lost(around: Surroundings, call_id: str) -> None:
    async def lost() -> bool:
        url = f"{around.service.url}/v1/calls/{call_id}"
        async with around.session.get(url) as response:
            return bool((await response.json())["cdr"]["state"] == "lost")

    await eventually(lost, within_s=75.0, every_s=0.5)
    assert DOES_NOT_FIT not in around.switch.log


async def _no_list_fits(around: Surroundings) -> None:
    """Two lists in a row: by the second all calls have been up for long enough to be missed."""
    await eventually(lambda: around.switch.log.count(DOES_NOT_FIT) >= 2, within_s=75.0, every_s=1.0)


async def _all_settled(report: Report, around: Surroundings, count: int) -> None:
    cdrs = [cdr for cdr in await around.settled(within_s=30.0) if cdr["offer"] == OFFER]
    earned = {(cdr["converted"], cdr["revenue"]) for cdr in cdrs}
    report.equal("what each earned", {(True, str(PRICES[OFFER]))}, earned)
    report.equal("calls", count, len(cdrs))
    usage = await around.usage(OFFER)
    report.equal("slots still held", 0, usage["concurrency"][0]["live"])
    await around.nothing_is_left_at_the_switch(report)
