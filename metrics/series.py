"""The series of one label value: made when it appears, dropped as a whole when it goes."""

from collections.abc import Iterable, Mapping, Sequence

from metrics import names
from metrics.cells import CellStore, Kind
from metrics.instruments import (
    AnyFamily,
    Counter,
    counters,
    gauges,
    histograms,
    keep,
    keep_apart,
    summaries,
)
from metrics.names import CallOutcome, PostOutcome, Unasked

GENERATIONS = 3
"""Of Python's garbage collector."""


class BiddingSeries:
    """What is counted of an offer that is pinged."""

    __slots__ = (
        "_offer",
        "bid_amount",
        "bids",
        "breaker",
        "families",
        "ping_seconds",
        "pings",
        "post_seconds",
        "posts",
        "shadows",
    )

    def __init__(self, store: CellStore, offer: str) -> None:
        pings = counters(names.PINGS, "Pings by outcome.", "offer", "outcome")
        ping_seconds = histograms(
            names.PING_SECONDS, "Time until a ping was answered.", names.PING_BUCKETS, "offer"
        )
        bids = counters(names.BIDS, "Valid bids.", "offer")
        bid_amount = summaries(names.BID_AMOUNT, "Amounts of valid bids.", "offer")
        posts = counters(names.POSTS, "Posts by outcome.", "offer", "outcome")
        post_seconds = histograms(
            names.POST_SECONDS,
            "Time that a post took, retries included.",
            names.POST_BUCKETS,
            "offer",
        )
        breaker = gauges(
            names.BREAKER_STATE, "Circuit breaker: 0 closed, 1 half open, 2 open.", "offer"
        )
        self._offer = offer
        shadows = counters(
            names.SHADOW_HELD_BACK,
            "Pings that shadow mode let through, by what would have held them back.",
            "offer",
            "reason",
        )
        self.pings = {name: pings.labels(offer, name) for name in names.PING_OUTCOMES}
        self.ping_seconds = ping_seconds.labels(offer)
        self.bids = bids.labels(offer)
        self.bid_amount = bid_amount.labels(offer)
        self.posts = {name.value: posts.labels(offer, name.value) for name in PostOutcome}
        self.post_seconds = post_seconds.labels(offer)
        self.breaker = breaker.labels(offer)
        self.shadows = {name: shadows.labels(offer, name) for name in names.SHADOW_REASONS}
        counted = (pings, ping_seconds, bids, bid_amount, posts, post_seconds, shadows)
        keep(store, Kind.BIDDING, offer, *counted)
        keep(store, Kind.BREAKER, offer, breaker)
        self.families: tuple[AnyFamily, ...] = (*counted, breaker)

    def drop(self, store: CellStore) -> None:
        """Give the cells back."""
        store.drop(Kind.BIDDING, self._offer)
        store.drop(Kind.BREAKER, self._offer)


class CapacitySeries:
    """What is shown of an offer's limits and live calls; ``caps`` are label values.

    Facts of the database: who shows them has read them, so no process counts for another.
    """

    __slots__ = ("caps", "families", "live", "ratios")

    def __init__(self, offer: str, caps: Iterable[str]) -> None:
        live = gauges(names.LIVE_CALLS, "Calls that hold a slot now.", "offer")
        ratio = gauges(names.CAP_USED_RATIO, "Used and pending share of a limit.", "offer", "cap")
        self.caps = frozenset(caps)
        self.live = live.labels(offer)
        self.ratios = {cap: ratio.labels(offer, cap) for cap in sorted(self.caps)}
        keep_apart(live, ratio)
        self.families: tuple[AnyFamily, ...] = (live, ratio)


class CampaignSeries:
    """What is counted of a campaign."""

    __slots__ = (
        "_campaign",
        "_revenues",
        "_store",
        "calls",
        "decision_seconds",
        "families",
        "next_routes",
        "revenue",
        "test_calls",
    )

    def __init__(self, store: CellStore, campaign: str, currency: str | None) -> None:
        calls = counters(names.CALLS, "Calls decided, by outcome.", "campaign", "outcome")
        tests = counters(names.TEST_CALLS, "Test calls decided.", "campaign", "outcome")
        next_routes = counters(
            names.NEXT_ROUTES, "Routes asked for after an attempt failed.", "campaign", "outcome"
        )
        decision_seconds = histograms(
            names.DECISION_SECONDS,
            "Time from a call's arrival to its durable decision.",
            names.DECISION_BUCKETS,
            "campaign",
        )
        self._store = store
        self._campaign = campaign
        self._revenues = counters(names.REVENUE, "Revenue of conversions.", "campaign", "currency")
        self.calls = {name: calls.labels(campaign, name.value) for name in CallOutcome}
        self.test_calls = {name: tests.labels(campaign, name.value) for name in CallOutcome}
        self.next_routes = {name: next_routes.labels(campaign, name.value) for name in CallOutcome}
        self.decision_seconds = decision_seconds.labels(campaign)
        counted = (calls, tests, next_routes, decision_seconds)
        keep(store, Kind.CAMPAIGN, campaign, *counted)
        self.revenue: dict[str, Counter] = {}
        if currency is not None:
            self.revenue_in(currency)
        self.families: tuple[AnyFamily, ...] = (*counted, self._revenues)

    def revenue_in(self, currency: str) -> Counter:
        """The revenue counter of a currency, made on first use."""
        if currency not in self.revenue:
            self.revenue[currency] = counter = self._revenues.labels(self._campaign, currency)
            counter.keep_in(self._store.block(*self._revenue_block(currency), counter.size), 0)
        return self.revenue[currency]

    def drop(self, store: CellStore) -> None:
        """Give the cells back."""
        store.drop(Kind.CAMPAIGN, self._campaign)
        for currency in self.revenue:
            store.drop(*self._revenue_block(currency))

    def _revenue_block(self, currency: str) -> tuple[Kind, str]:
        return Kind.REVENUE, f"{self._campaign} {currency}"


class ServiceSeries:
    """What is counted of a process as a whole."""

    __slots__ = ("batch", "families", "lag", "load", "overhead", "overloaded")

    def __init__(self, store: CellStore) -> None:
        overhead = histograms(
            names.OVERHEAD_SECONDS,
            "Decision time less the time spent waiting for buyers.",
            names.OVERHEAD_BUCKETS,
        )
        batch = histograms(
            names.LEDGER_BATCH_SIZE, "Items per committed ledger batch.", names.BATCH_BUCKETS
        )
        lag = gauges(names.EVENT_LOOP_LAG_SECONDS, "The longest recent delay of the event loop.")
        self.overhead = overhead.labels()
        self.batch = batch.labels()
        self.lag = lag.labels()
        load = gauges(
            names.OVERLOAD_LEVEL,
            "What is done with new calls: 0 all, 1 static routes only, 2 refused.",
        )
        overloaded = counters(
            names.OVERLOADED_CALLS,
            "Calls decided without an auction or refused because of the load.",
            "outcome",
        )
        self.load = load.labels()
        self.overloaded = {name: overloaded.labels(name.value) for name in Unasked}
        keep(store, Kind.SERVICE, "", overhead, batch, overloaded)
        keep(store, Kind.LAG, "", lag)
        keep(store, Kind.LOAD, "", load)
        self.families: tuple[AnyFamily, ...] = (overhead, batch, lag, load, overloaded)


class CollectionSeries:
    """What Python's garbage collector does, under the names that its client library gives it."""

    __slots__ = ("_totals", "families")

    def __init__(self, store: CellStore) -> None:
        families = {
            key: counters(f"python_gc_{name}", text, "generation")
            for key, name, text in (
                ("collected", "objects_collected", "Objects collected during gc"),
                ("uncollectable", "objects_uncollectable", "Uncollectable objects found during GC"),
                ("collections", "collections", "Number of times this generation was collected"),
            )
        }
        self._totals = [
            {key: family.labels(str(generation)) for key, family in families.items()}
            for generation in range(GENERATIONS)
        ]
        self.families: tuple[AnyFamily, ...] = tuple(families.values())
        keep(store, Kind.COLLECTIONS, "", *self.families)

    def take_over(self, stats: Sequence[Mapping[str, int]]) -> None:
        """The totals as ``gc.get_stats`` tells them."""
        for totals, stat in zip(self._totals, stats, strict=True):
            for key, counter in totals.items():
                counter.rise_to(stat[key])


class AlertSeries:
    """How many alerts of a rule are active: a fact of the database, as ``CapacitySeries``."""

    __slots__ = ("families", "firing")

    def __init__(self, rule: str) -> None:
        firing = gauges(names.ALERTS_FIRING, "Alerts that fire, acknowledged or not.", "alert")
        self.firing = firing.labels(rule)
        keep_apart(firing)
        self.families: tuple[AnyFamily, ...] = (firing,)


class WorkerSeries:
    """What the parent of several workers knows of them; a process alone is one worker."""

    __slots__ = ("alive", "families", "restarts")

    def __init__(self) -> None:
        alive = gauges(names.WORKERS, "Processes that decide calls.")
        restarts = counters(names.WORKER_RESTARTS, "Workers that died and were replaced.")
        self.alive = alive.labels()
        self.restarts = restarts.labels()
        keep_apart(alive, restarts)
        self.alive.set(1)
        self.families: tuple[AnyFamily, ...] = (alive, restarts)
