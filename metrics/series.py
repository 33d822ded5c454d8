"""The series of one label value: made when it appears, dropped as a whole when it goes."""

from collections.abc import Mapping, Sequence

from auction.domain.conversions import Side
from auction.domain.plan import RoutedBy
from auction.ports import LedgerStep
from metrics import names
from metrics.cells import CellStore, Kind
from metrics.instruments import (
    AnyFamily,
    Counter,
    Family,
    counters,
    gauges,
    histograms,
    keep,
    summaries,
)
from metrics.names import CallOutcome, PostOutcome, Unasked

GENERATIONS = 3
"""Of Python's garbage collector."""

_BY_AUCTION = RoutedBy.AUCTION


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


class RouteSeries:
    """What is counted of an offer that calls may be routed to, auctioned or not."""

    __slots__ = ("_auction", "_offer", "_static", "families")

    def __init__(self, store: CellStore, offer: str) -> None:
        routes = counters(
            names.ROUTES, "Calls routed there, first and further attempts.", "offer", "routed_by"
        )
        self._offer = offer
        self._auction = routes.labels(offer, RoutedBy.AUCTION.value)
        self._static = routes.labels(offer, RoutedBy.STATIC.value)
        keep(store, Kind.ROUTES, offer, routes)
        self.families: tuple[AnyFamily, ...] = (routes,)

    def of(self, routed_by: RoutedBy) -> Counter:
        """The counter of a way."""
        return self._auction if routed_by is _BY_AUCTION else self._static

    def drop(self, store: CellStore) -> None:
        """Give the cells back."""
        store.drop(Kind.ROUTES, self._offer)


class ByOutcome:
    """A counter of a campaign for each way in which a call may be decided."""

    __slots__ = ("auction", "no_route", "static")

    def __init__(self, family: Family[Counter], campaign: str) -> None:
        self.auction = family.labels(campaign, CallOutcome.AUCTION.value)
        self.static = family.labels(campaign, CallOutcome.STATIC.value)
        self.no_route = family.labels(campaign, CallOutcome.NO_ROUTE.value)

    def of(self, routed_by: RoutedBy | None) -> Counter:
        """The counter of a decision, None for no route."""
        # A look-up by a member of an enumeration would cost more than counting does.
        if routed_by is None:
            return self.no_route
        return self.auction if routed_by is _BY_AUCTION else self.static


class CampaignSeries:
    """What is counted of a campaign."""

    __slots__ = (
        "_campaign",
        "_money",
        "_payouts",
        "_revenues",
        "_store",
        "calls",
        "decision_seconds",
        "families",
        "next_routes",
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
        money_of = ("campaign", "currency")
        self._revenues = counters(
            names.REVENUE, "What buyers' conversions were booked at first.", *money_of
        )
        self._payouts = counters(
            names.PAYOUT, "What sources' conversions were booked at first.", *money_of
        )
        self.calls = ByOutcome(calls, campaign)
        self.test_calls = ByOutcome(tests, campaign)
        self.next_routes = ByOutcome(next_routes, campaign)
        self.decision_seconds = decision_seconds.labels(campaign)
        counted = (calls, tests, next_routes, decision_seconds)
        keep(store, Kind.CAMPAIGN, campaign, *counted)
        self._money: dict[str, dict[Side, Counter]] = {}
        if currency is not None:
            self.money_in(currency)
        self.families: tuple[AnyFamily, ...] = (*counted, self._revenues, self._payouts)

    def money_in(self, currency: str) -> Mapping[Side, Counter]:
        """The counters of revenue and payout in a currency, made on first use."""
        if currency not in self._money:
            labels = (self._campaign, currency)
            revenue, payout = self._revenues.labels(*labels), self._payouts.labels(*labels)
            cells = self._store.block(*self._money_block(currency), revenue.size + payout.size)
            revenue.keep_in(cells, 0)
            payout.keep_in(cells, revenue.size)
            self._money[currency] = {Side.BUYER: revenue, Side.SOURCE: payout}
        return self._money[currency]

    def drop(self, store: CellStore) -> None:
        """Give the cells back."""
        store.drop(Kind.CAMPAIGN, self._campaign)
        for currency in self._money:
            store.drop(*self._money_block(currency))

    def _money_block(self, currency: str) -> tuple[Kind, str]:
        return Kind.MONEY, f"{self._campaign} {currency}"


class ServiceSeries:
    """What is counted of a process as a whole."""

    __slots__ = (
        "batch",
        "families",
        "in_flight",
        "lag",
        "ledger_seconds",
        "load",
        "overhead",
        "overloaded",
        "waiting",
    )

    def __init__(self, store: CellStore) -> None:
        overhead = histograms(
            names.OVERHEAD_SECONDS,
            "Decision time less the time spent waiting for buyers.",
            names.OVERHEAD_BUCKETS,
        )
        batch = histograms(
            names.LEDGER_BATCH_SIZE, "Items per batch of the ledger.", names.BATCH_BUCKETS
        )
        seconds = histograms(
            names.LEDGER_SECONDS,
            "Time that a batch of the ledger took, failed ones included.",
            names.LEDGER_BUCKETS,
            "step",
        )
        lag = gauges(names.EVENT_LOOP_LAG_SECONDS, "The longest recent delay of the event loop.")
        self.overhead = overhead.labels()
        self.batch = batch.labels()
        self.ledger_seconds = {step: seconds.labels(step.value) for step in LedgerStep}
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
        in_flight = gauges(names.CALLS_IN_FLIGHT, "Calls under decision.")
        waiting = gauges(names.LEDGER_WAITING, "Steps and reports that no batch has taken yet.")
        self.in_flight, self.waiting = in_flight.labels(), waiting.labels()
        counted = (overhead, batch, seconds, overloaded)
        keep(store, Kind.SERVICE, "", *counted)
        keep(store, Kind.LAG, "", lag)
        keep(store, Kind.LOAD, "", load)
        keep(store, Kind.FLIGHT, "", in_flight, waiting)
        self.families: tuple[AnyFamily, ...] = (*counted, lag, load, in_flight, waiting)


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
