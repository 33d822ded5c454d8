"""Several processes' counts as one scrape shows them."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal

import pytest

from auction.domain.breaker import BreakerState
from auction.domain.conversions import Side
from auction.domain.ids import OfferId
from auction.domain.overload import LoadLevel
from auction.domain.plan import RoutedBy
from auction.domain.terms import Catalogue
from auction.ports import LedgerStep
from metrics import totals as totals_module
from metrics.cells import Kind, PrivateCells
from metrics.page import PageReader, SharedCells, make_page
from metrics.registry import Metrics, layout
from metrics.totals import Totals
from tests.builders import CAMPAIGN, a_campaign, a_catalogue, an_offer
from tests.unit.metrics.test_registry import ACME, scrape, value

BEACON = OfferId("beacon-auto")
LAYOUT = layout()


def a_marketplace(*offers: str) -> Catalogue:
    return a_catalogue(a_campaign(*(an_offer(offer) for offer in offers)))


class Crew:
    """A parent that shows, and workers that count on pages."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        cells = PrivateCells()
        self.totals = Totals(cells)
        self.shown = Metrics(store=cells)
        self.shown.preload(a_marketplace("acme-auto"))

    def worker(self, number: int, *offers: str) -> Metrics:
        page = make_page(256 * 1024)
        self._stack.callback(os.close, page)
        counting = Metrics(store=SharedCells(page, LAYOUT))
        counting.preload(a_marketplace(*(offers or ("acme-auto",))))
        self.totals.join(number, PageReader(page, LAYOUT))
        return counting

    async def figure(self, name: str, **labels: str) -> float | None:
        await self.totals.gather()
        return value(await scrape(self.shown), name, **labels)


@pytest.fixture
def crew() -> Iterator[Crew]:
    with ExitStack() as stack:
        yield Crew(stack)


async def test_counters_histograms_and_summaries_are_sums(crew: Crew) -> None:
    one, two = crew.worker(1), crew.worker(2)
    for counting, seconds in ((one, 0.1), (two, 0.3), (two, 0.3)):
        counting.pinged(ACME, "bid", seconds)
        counting.bid(ACME, Decimal(20))
        counting.decided(CAMPAIGN, RoutedBy.AUCTION, seconds, 0.001)
        counting.ledger_batch(LedgerStep.RESERVE, 3, 0.004)
        counting.routed(ACME, RoutedBy.STATIC)
        counting.earned(CAMPAIGN, "USD", Side.BUYER, Decimal(20))
    assert await crew.figure("pingpost_pings_total", offer=ACME, outcome="bid") == 3
    assert await crew.figure("pingpost_ping_seconds_bucket", offer=ACME, le="0.1") == 1
    assert await crew.figure("pingpost_ping_seconds_count", offer=ACME) == 3
    assert await crew.figure("pingpost_bid_amount_sum", offer=ACME) == 60
    calls = await crew.figure("pingpost_calls_total", campaign=CAMPAIGN, outcome="auction")
    assert calls == 3
    assert await crew.figure("pingpost_ledger_batch_size_sum") == 9
    assert await crew.figure("pingpost_routes_total", offer=ACME, routed_by="static") == 3
    assert await crew.figure("pingpost_revenue_total", campaign=CAMPAIGN, currency="USD") == 60
    assert await crew.figure("pingpost_ledger_seconds_count", step="reserve") == 3


async def test_what_a_worker_counted_stays_when_it_is_gone(crew: Crew) -> None:
    one, two = crew.worker(1), crew.worker(2)
    one.decided(CAMPAIGN, None, 0.1, 0.1)
    two.decided(CAMPAIGN, None, 0.2, 0.1)
    crew.totals.depart(1)
    crew.worker(3).decided(CAMPAIGN, None, 0.3, 0.1)
    crew.totals.depart(3)
    labels = {"campaign": CAMPAIGN, "outcome": "no_route"}
    assert await crew.figure("pingpost_calls_total", **labels) == 3
    total = await crew.figure("pingpost_decision_seconds_sum", campaign=CAMPAIGN)
    assert total == pytest.approx(0.6)


async def test_a_sum_does_not_fall_by_a_rounding_when_workers_go(crew: Crew) -> None:
    seconds = (1.1, 0.1, 0.3, 0.1)
    for number, each in enumerate(seconds):
        crew.worker(number).decided(CAMPAIGN, None, each, each)
    before = 0.0
    for number in reversed(range(len(seconds))):
        now = await crew.figure("pingpost_decision_seconds_sum", campaign=CAMPAIGN)
        assert now is not None
        assert now >= before
        before = now
        crew.totals.depart(number)


async def test_lag_load_and_breakers_show_the_worst_of_the_living(crew: Crew) -> None:
    one, two = crew.worker(1), crew.worker(2)
    one.loop_lag(0.5)
    two.loop_lag(0.25)
    one.load_level(LoadLevel.STATIC_ONLY)
    two.load_level(LoadLevel.REFUSE)
    one.breaker(ACME, BreakerState.HALF_OPEN)
    two.breaker(ACME, BreakerState.OPEN)
    assert await crew.figure("pingpost_event_loop_lag_seconds") == 0.5
    assert await crew.figure("pingpost_breaker_state", offer=ACME) == BreakerState.OPEN
    assert await crew.figure("pingpost_overload_level") == LoadLevel.REFUSE
    crew.totals.depart(2)
    assert await crew.figure("pingpost_overload_level") == LoadLevel.STATIC_ONLY
    assert await crew.figure("pingpost_breaker_state", offer=ACME) == BreakerState.HALF_OPEN
    crew.totals.depart(1)
    assert await crew.figure("pingpost_event_loop_lag_seconds") == 0
    assert await crew.figure("pingpost_breaker_state", offer=ACME) == BreakerState.CLOSED


async def test_calls_under_decision_are_those_of_the_living(crew: Crew) -> None:
    one, two = crew.worker(1), crew.worker(2)
    one.in_flight(3, 1)
    two.in_flight(4, 0)
    assert await crew.figure("pingpost_calls_in_flight") == 7
    assert await crew.figure("pingpost_ledger_waiting") == 1
    for number, left in ((1, 4), (2, 0)):
        crew.totals.depart(number)
        assert await crew.figure("pingpost_calls_in_flight") == left
        assert await crew.figure("pingpost_ledger_waiting") == 0


async def test_garbage_collections_are_summed(crew: Crew) -> None:
    for number in (1, 2):
        crew.worker(number).loop_lag(0.0)
    gc.collect()
    crew.worker(3).loop_lag(0.0)
    collections = await crew.figure("python_gc_collections_total", generation="2")
    assert collections is not None
    assert collections % 3 == 1


async def test_an_offer_that_one_has_and_another_has_not_yet_is_counted_where_it_is(
    crew: Crew,
) -> None:
    crew.worker(1)
    two = crew.worker(2, "acme-auto", "beacon-auto")
    two.bid(BEACON, Decimal(5))
    assert await crew.figure("pingpost_bids_total", offer=BEACON) is None
    crew.totals.depart(2)
    crew.shown.preload(a_marketplace("acme-auto", "beacon-auto"))
    assert await crew.figure("pingpost_bids_total", offer=BEACON) == 1


async def test_an_offer_that_comes_back_begins_again(crew: Crew) -> None:
    one, two = crew.worker(1), crew.worker(2)
    for counting in (one, two):
        counting.bid(ACME, Decimal(5))
    crew.totals.depart(1)
    assert await crew.figure("pingpost_bids_total", offer=ACME) == 2
    for offers in (("beacon-auto",), ("acme-auto", "beacon-auto")):
        for each in (two, crew.shown):
            each.preload(a_marketplace(*offers))
        shown = await crew.figure("pingpost_bids_total", offer=BEACON)
        assert shown == 0
    assert await crew.figure("pingpost_bids_total", offer=ACME) == 0


async def test_gathering_lets_others_in(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals_module, "_AT_ONCE", 1)
    crew.worker(1).bid(ACME, Decimal(5))
    gathering = asyncio.create_task(crew.totals.gather())
    await asyncio.sleep(0)
    assert not gathering.done()
    crew.totals.depart(1)
    await gathering
    assert await crew.figure("pingpost_bids_total", offer=ACME) == 1


KILLED = """
import sys
from metrics.cells import Kind
from metrics.page import SharedCells
cells = SharedCells(int(sys.argv[1]), bytes(32)).block(Kind.CAMPAIGN, "auto", 2)
while True:
    cells[0] += 1.0
    cells[1] += 2.0
    if cells[0] == 1000:
        print("counting", flush=True)
"""


async def test_what_was_counted_up_to_kill_9_is_there() -> None:
    page = make_page(4096)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", KILLED, str(page)), pass_fds=(page,), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    await process.wait()
    ((name, cells),) = PageReader(page, bytes(32)).blocks().items()
    os.close(page)
    assert (name.kind, name.label) == (Kind.CAMPAIGN, "auto")
    assert cells[0] >= 1000
    assert cells[1] in {2 * cells[0], 2 * cells[0] - 2}


def test_room_of_what_was_dropped_is_used_again() -> None:
    page = make_page(2048)
    store, reader = SharedCells(page, LAYOUT), PageReader(page, LAYOUT)
    os.close(page)
    for number in range(100):
        cells = store.block(Kind.BREAKER, f"offer-{number}", 20)
        assert [cells[at] for at in range(20)] == [0.0] * 20
        cells[3] = number
        assert {name.label: block[3] for name, block in reader.blocks().items()} == {
            f"offer-{number}": number
        }
        store.drop(Kind.BREAKER, f"offer-{number}")
        assert reader.blocks() == {}


def test_a_full_page_takes_no_more_and_stops_nobody() -> None:
    page = make_page(1024)
    store, reader = SharedCells(page, LAYOUT), PageReader(page, LAYOUT)
    os.close(page)
    for number in range(10):
        store.block(Kind.BREAKER, f"offer-{number}", 20)[0] = 1.0
    assert 0 < len(reader.blocks()) < 10


async def test_a_worker_of_another_version_is_told_once_and_adds_nothing(
    crew: Crew, caplog: pytest.LogCaptureFixture
) -> None:
    page = make_page(256 * 1024)
    crew.totals.join(1, PageReader(page, LAYOUT))
    Metrics(store=SharedCells(page, bytes(32))).ledger_batch(LedgerStep.OPEN, 7, 0.001)
    os.close(page)
    for _ in range(2):
        assert await crew.figure("pingpost_ledger_batch_size_sum") == 0
    assert len(caplog.records) == 1


def test_a_page_of_another_layout_shows_nothing() -> None:
    page = make_page(1024)
    reader = PageReader(page, LAYOUT)
    before = reader.is_foreign
    SharedCells(page, bytes(32)).block(Kind.BREAKER, "offer", 1)[0] = 1.0
    os.close(page)
    assert (before, reader.is_foreign) == (False, True)
    assert reader.blocks() == {}
