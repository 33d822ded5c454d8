"""Comparators against real buyers: counted, checked, and skipped where they don't start."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.micro.exchanges import transport_cases
from benchmarks.micro.timing import Stopwatch
from benchmarks.peers.builds import COMPARATORS
from benchmarks.peers.comparator import Comparator, Place
from benchmarks.peers.rounds import PeersOptions, Race, run_peers
from benchmarks.progress import Steps

BUYERS = 3

LAZY = """
import json, os
from aiohttp import ClientSession, web

OFFERS = json.loads(os.environ["OFFERS"])

async def decide(request):
    call = await request.json()
    best = OFFERS[-1]
    async with ClientSession(headers=best["headers"]) as session:
        async with session.post(best["url"], json={}) as response:
            bid = await response.json()
    offer = OFFERS[%d]["offer"]
    answer = {"call_id": call["call_id"], "action": "route", "routed_by": "auction",
              "offer": offer, "price": bid["bid"]}
    return web.json_response(answer, dumps=lambda each: json.dumps(each, separators=(",", ":")))

app = web.Application()
app.router.add_post("/v1/calls", decide)
web.run_app(app, host="127.0.0.1", port=int(os.environ["PORT"]), print=None)
"""


def of_python(name: str, code: str) -> Comparator:
    async def build(_: Place) -> Sequence[str]:
        return sys.executable, "-c", code

    return Comparator(name, name, build)


async def a_short_race(*comparators: Comparator) -> Race:
    options = PeersOptions(
        comparators,
        callers=(4,),
        delays_ms=(0.0,),
        buyers=BUYERS,
        rounds=1,
        seconds=0.2,
        whole=False,
    )
    (race,) = await run_peers(options, Steps(tell=lambda _: None, over=lambda: None))
    return race


async def test_every_comparator_in_python_pings_all_buyers_and_answers_the_best_bid() -> None:
    wanted = {"fastapi-httpx", "aiohttp", "ours-bare"}
    race = await a_short_race(*(each for each in COMPARATORS if each.name in wanted))
    assert race.skipped == ()
    assert set(race.turns) == wanted
    for name, (turn,) in race.turns.items():
        assert turn.calls > 0, name
        assert (turn.wrong, turn.not_pinged) == (0, 0), name
        assert turn.cpu_us > 0, name


@pytest.mark.parametrize("name", ["go", "node-undici", "nginx-lua"])
async def test_every_other_comparator_does_so_too_where_its_toolchain_is(name: str) -> None:
    race = await a_short_race(*(each for each in COMPARATORS if each.name == name))
    if race.skipped:
        reason = race.skipped[0].reason
        # What is there has to run; a Lua library may be missing where nginx is not.
        assert not reason.startswith("does not start") or "not found" in reason
        pytest.skip(reason)
    (turn,) = race.turns[name]
    assert turn.calls > 0
    assert (turn.wrong, turn.not_pinged) == (0, 0)


async def test_who_pings_one_buyer_or_names_another_winner_is_found_out() -> None:
    race = await a_short_race(
        of_python("asks-one", LAZY % -1), of_python("names-another", LAZY % 0)
    )
    (asks_one,) = race.turns["asks-one"]
    assert asks_one.not_pinged == asks_one.calls > 0
    (names_another,) = race.turns["names-another"]
    assert names_another.calls == 0
    assert names_another.wrong > 0


async def test_what_does_not_start_is_skipped_with_its_last_words() -> None:
    race = await a_short_race(of_python("broken", "raise SystemExit('error: no such module')"))
    (skipped,) = race.skipped
    assert skipped.reason == "does not start: error: no such module"
    assert race.turns == {}


async def test_every_transport_gets_bids_plain_and_over_tls(tmp_path: Path) -> None:
    async with asyncio.timeout(30), transport_cases(tmp_path) as cases:
        names = {case.name for case in cases}
        assert {"transport.native.plain.10", "transport.aiohttp.tls.200"} <= names
        for case in cases:
            stopwatch = Stopwatch()
            await case.measure(1, stopwatch)
            assert stopwatch.cpu_s > 0, case.name
