"""How many series there may be, and who has series of its own."""

import os
import tracemalloc
from collections.abc import Iterable
from contextlib import ExitStack
from decimal import Decimal

from auction.domain.breaker import BreakerState
from auction.domain.ids import CampaignId, OfferId, offer_owner
from auction.domain.plan import RoutedBy
from auction.domain.terms import Cap, Catalogue, Measure, Period
from auction.domain.usage import Change, Usage, apply
from auction.domain.windows import window_starts
from metrics.cells import PrivateCells
from metrics.instruments import counters
from metrics.labels import FirstCome, shown
from metrics.page import PageReader, SharedCells, make_page
from metrics.registry import Metrics, layout
from metrics.totals import Totals
from metrics.usage_figures import usage_figures
from tests.builders import (
    NEW_YORK,
    NOON,
    a_campaign,
    a_catalogue,
    an_offer,
)
from tests.unit.metrics.test_registry import labels_shown, samples_of, scrape, value

MANY = 20_000
DAILY = Cap(Measure.CALLS, Period.DAY, 10)


def offers_named(names: Iterable[str]) -> Catalogue:
    return a_catalogue(a_campaign(*(an_offer(name, caps=[DAILY]) for name in names)))


def numbered(number: int) -> Catalogue:
    return offers_named(f"offer-{place:05}" for place in range(number))


def lines_of(exposition: bytes) -> list[str]:
    """A line for each sample."""
    return [line for line in exposition.decode().splitlines() if not line.startswith("#")]


def of(catalogue: Catalogue, limit: int, *oldest: str) -> Metrics:
    metrics = Metrics(label_limit=limit)
    metrics.came_first(FirstCome(oldest))
    metrics.preload(catalogue)
    return metrics


async def test_twenty_thousand_offers_take_no_more_series_and_bytes_than_a_thousand() -> None:
    few, many = Metrics(), Metrics()
    few.preload(numbered(1_000))
    catalogue = numbered(MANY)
    many.preload(catalogue)
    many.show_usage(usage_figures(catalogue, {}, NOON))
    for offer in catalogue.offers:
        many.pinged(offer, "bid", 0.1)
        many.routed(offer, RoutedBy.AUCTION)
    least, most = await few.exposition(), await many.exposition()
    lines, folded = lines_of(most), "pingpost_folded_labels"
    # What only folded offers have: the fullest of their limits.
    assert len(lines) == len(lines_of(least)) + 1
    assert len(lines) == len({line.rpartition(" ")[0] for line in lines}) < 70_000
    assert len(most) < len(least) + 5_000 < 6_000_000
    looked_at = ("pingpost_pings_total", "pingpost_routes_total", folded)
    samples = samples_of("\n".join(line for line in lines if line.startswith(looked_at)))
    assert len(labels_shown(samples, "pingpost_pings_total", "offer")) == 1_001
    assert value(samples, folded, label="offer") == MANY - 1_000
    assert value(samples, folded, label="campaign") == 0
    other = {"offer": "other", "outcome": "bid"}
    assert value(samples, "pingpost_pings_total", **other) == MANY - 1_000
    routed = value(samples, "pingpost_routes_total", offer="other", routed_by="auction")
    assert routed == MANY - 1_000


async def test_the_oldest_offers_have_series_of_their_own_and_a_newcomer_takes_nobodys() -> None:
    metrics = of(offers_named("mn"), 2, "n", "m")
    metrics.came_first(FirstCome(("n", "m", "a", "z")))
    metrics.preload(offers_named("amnz"))
    for name in "amnz":
        metrics.pinged(OfferId(name), "bid", 0.1)
    samples = await scrape(metrics)
    assert labels_shown(samples, "pingpost_bids_total", "offer") == {"m", "n", "other"}
    assert value(samples, "pingpost_pings_total", offer="other", outcome="bid") == 2
    metrics.preload(offers_named("amz"))
    samples = await scrape(metrics)
    assert labels_shown(samples, "pingpost_bids_total", "offer") == {"a", "m", "other"}
    assert value(samples, "pingpost_pings_total", offer="other", outcome="bid") == 2


def test_who_is_shown_does_not_depend_on_what_a_process_has_seen_before() -> None:
    by_age = ("d", "b")
    assert shown("abcd", by_age, 3) == ["a", "b", "d"]
    assert shown("dcba", by_age, 3) == ["a", "b", "d"]
    assert shown("abcd", by_age, 0) == []
    assert shown(("other", "unknown", "c"), (), 2) == ["c"]


async def test_campaigns_beyond_the_limit_fold_into_other() -> None:
    metrics = Metrics(label_limit=1)
    metrics.came_first(FirstCome(campaigns=("b", "a")))
    campaigns = [a_campaign(an_offer(campaign=name), campaign_id=name) for name in ("a", "b")]
    metrics.preload(a_catalogue(*campaigns))
    for name in ("a", "b"):
        metrics.decided(CampaignId(name), None, 0.1, 0.1)
    samples = await scrape(metrics)
    calls = "pingpost_calls_total"
    assert labels_shown(samples, calls, "campaign") == {"b", "other", "unknown"}
    assert value(samples, calls, campaign="other", outcome="no_route") == 1
    assert value(samples, "pingpost_folded_labels", label="campaign") == 1


async def test_live_calls_of_folded_offers_add_up_and_the_fullest_of_their_limits_shows() -> None:
    catalogue = offers_named("abc")
    starts = window_starts(NOON, NEW_YORK)
    usage = {
        offer_owner(OfferId(name)): apply(Usage(), starts, Change(2, (used, 0, 0, 0)))
        for name, used in (("a", 10), ("b", 3), ("c", 5))
    }
    metrics = of(catalogue, 1, "a")
    metrics.show_usage(usage_figures(catalogue, usage, NOON))
    samples, ratio = await scrape(metrics), "pingpost_cap_used_ratio"
    assert value(samples, "pingpost_live_calls", offer="a") == 2
    assert value(samples, "pingpost_live_calls", offer="other") == 4
    assert value(samples, ratio, offer="a", cap="offer_calls_per_day") == 1
    assert value(samples, ratio, offer="other", cap="offer_calls_per_day") == 0.5


async def test_of_folded_breakers_the_worst_shows_and_one_that_gets_a_label_keeps_its_state() -> (
    None
):
    metrics, name = of(offers_named("abc"), 1, "a", "b"), "pingpost_breaker_state"
    metrics.breaker(OfferId("b"), BreakerState.OPEN)
    metrics.breaker(OfferId("c"), BreakerState.HALF_OPEN)
    metrics.breaker(OfferId("nobody"), BreakerState.OPEN)
    assert value(await scrape(metrics), name, offer="other") == BreakerState.OPEN
    metrics.preload(offers_named("bc"))
    samples = await scrape(metrics)
    assert value(samples, name, offer="b") == BreakerState.OPEN
    assert value(samples, name, offer="other") == BreakerState.HALF_OPEN
    metrics.breaker(OfferId("c"), BreakerState.CLOSED)
    assert value(await scrape(metrics), name, offer="other") == BreakerState.CLOSED


async def test_workers_that_came_at_different_times_and_their_parent_label_the_same() -> None:
    """What one folds and another does not would be lost between them."""
    with ExitStack() as stack:
        cells = PrivateCells()
        totals, parent = Totals(cells), Metrics(label_limit=2, store=cells)
        workers: list[Metrics] = []
        ages = (("n", "m"), ("n", "m", "a", "z"))
        for number, present in enumerate(("mn", "amnz")):
            page = make_page(512 * 1024)
            stack.callback(os.close, page)
            workers.append(Metrics(label_limit=2, store=SharedCells(page, layout())))
            totals.join(number, PageReader(page, layout()))
            for each in (*workers, parent):
                each.came_first(FirstCome(ages[number]))
                each.preload(offers_named(present))
        for worker in workers:
            for name in "amnz":
                worker.bid(OfferId(name), Decimal(5))
        await totals.gather()
        samples = await scrape(parent)
        bids = {name: value(samples, "pingpost_bids_total", offer=name) for name in ("m", "n")}
        assert bids == {"m": 2, "n": 2}
        assert value(samples, "pingpost_bids_total", offer="other") == 4


def test_a_series_takes_no_dictionary_of_its_own() -> None:
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    family = counters("pingpost_things", "Things.", "offer", "outcome")
    kept = [family.labels("acme-auto", "bid") for _ in range(1_000)]
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(kept) == 1_000
    assert (after - before) / 1_000 < 200
