"""Everything that is counted, with a closed set of label values and one cached child per series."""

import gc
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

from prometheus_client import (
    Metric,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.registry import Collector

from auction.domain.breaker import BreakerState
from auction.domain.conversions import Side
from auction.domain.ids import CampaignId, OfferId
from auction.domain.overload import LoadLevel
from auction.domain.plan import RoutedBy
from auction.domain.reasons import Reason
from auction.domain.terms import Catalogue
from auction.ports import LedgerStep
from metrics.cells import CellStore, PrivateCells
from metrics.exposition import render
from metrics.facts import (
    AlertSeries,
    CapacitySeries,
    CheckSeries,
    OversightSeries,
    WorkerSeries,
)
from metrics.labels import DEFAULT_LABEL_LIMIT, FirstCome, shown
from metrics.names import OTHER, UNKNOWN, PostOutcome, Unasked
from metrics.series import (
    BiddingSeries,
    CampaignSeries,
    CollectionSeries,
    RouteSeries,
    ServiceSeries,
)
from metrics.usage_figures import LimitLabels, UsageFigures

ALERT_LABEL_LIMIT = 1000

_UNASKED = {LoadLevel.STATIC_ONLY: Unasked.STATIC, LoadLevel.REFUSE: Unasked.REFUSED}


class Metrics:
    """The metrics of one process; implements ``auction.ports.Recorder``.

    ``label_limit`` bounds how many offers and how many campaigns have series of their own: what
    comes beyond it, and what is no longer in the catalogue, is counted under ``other``. What is
    counted is kept in ``store``, by default in this process's own memory. ``processes`` shows CPU,
    memory and files.
    """

    def __init__(
        self,
        *,
        label_limit: int = DEFAULT_LABEL_LIMIT,
        store: CellStore | None = None,
        processes: Collector | None = None,
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library left it untyped
        self.label_limit = label_limit
        self._first_come = FirstCome()
        self._folded: frozenset[OfferId] = frozenset()
        self._breakers: dict[OfferId, BreakerState] = {}
        self._store = store = PrivateCells() if store is None else store
        self._bidding: dict[OfferId, BiddingSeries] = {}
        self._routes: dict[OfferId, RouteSeries] = {}
        self._capacity: dict[OfferId, CapacitySeries] = {}
        self._limit_labels = LimitLabels()
        self._campaigns: dict[CampaignId, CampaignSeries] = {}
        self._other_bidding = BiddingSeries(store, OTHER)
        self._other_routes = RouteSeries(store, OTHER)
        self._other_capacity = CapacitySeries(OTHER, ())
        self._other_campaign = CampaignSeries(store, OTHER, None)
        self._unknown_campaign = CampaignSeries(store, UNKNOWN, None)
        self._service = ServiceSeries(store)
        self._collections = CollectionSeries(store)
        self._workers = WorkerSeries()
        self._oversight = OversightSeries()
        self._checks: dict[str, CheckSeries] = {}
        self._alerts: dict[str, AlertSeries] = {}
        self._processes = (
            ProcessCollector(registry=None) if processes is None else processes,
            PlatformCollector(registry=None),
        )

    def came_first(self, first_come: FirstCome) -> None:
        """Which offers and campaigns are the oldest; told before ``preload``."""
        self._first_come = first_come

    def preload(self, catalogue: Catalogue) -> None:
        """Make every series of a catalogue; drop those of offers and campaigns that are gone."""
        offers = shown(catalogue.offers, self._first_come.offers, self.label_limit)
        self._folded = frozenset(catalogue.offers.keys() - set(offers))
        self._preload_offers(catalogue, offers)
        self._preload_campaigns(catalogue)
        self._oversight.folded_offers.set(len(self._folded))
        self._oversight.folded_campaigns.set(len(catalogue.campaigns) - len(self._campaigns))

    def _preload_offers(self, catalogue: Catalogue, offers: list[OfferId]) -> None:
        terms, store = catalogue.offers, self._store
        bidding, routes = self._bidding, self._routes
        self._bidding = {
            offer: bidding.get(offer) or self._new_bidding(offer)
            for offer in offers
            if terms[offer].auctioned
        }
        self._routes = {each: routes.get(each) or RouteSeries(store, each) for each in offers}
        self._preload_capacity(catalogue, offers)
        for offer in bidding.keys() - self._bidding.keys():
            bidding[offer].drop(store)
        for offer in routes.keys() - self._routes.keys():
            routes[offer].drop(store)
        for offer in self._breakers.keys() - terms.keys():
            self._breakers.pop(offer, None)
        self._show_folded_breakers()

    def _new_bidding(self, offer: OfferId) -> BiddingSeries:
        series = BiddingSeries(self._store, offer)
        series.breaker.set(self._breakers.get(offer, BreakerState.CLOSED))
        return series

    def _preload_capacity(self, catalogue: Catalogue, offers: list[OfferId]) -> None:
        caps = self._limit_labels.of(catalogue)
        folded = frozenset[str]().union(*{caps[offer] for offer in self._folded})
        self._other_capacity = _capacity(self._other_capacity, OTHER, folded)
        before = self._capacity
        self._capacity = {each: _capacity(before.get(each), each, caps[each]) for each in offers}

    def _preload_campaigns(self, catalogue: Catalogue) -> None:
        before, store = self._campaigns, self._store
        campaigns = shown(catalogue.campaigns, self._first_come.campaigns, self.label_limit)
        self._campaigns = {
            each: before.get(each) or CampaignSeries(store, each, catalogue.currency)
            for each in campaigns
        }
        for series in self._campaigns.values():
            series.money_in(catalogue.currency)
        for campaign in before.keys() - self._campaigns.keys():
            before[campaign].drop(store)

    def pinged(self, offer: OfferId, outcome: str, seconds: float | None) -> None:
        """One invited offer's outcome, and its time where an answer came."""
        series = self._bidding.get(offer, self._other_bidding)
        counter = series.pings.get(outcome)
        (series.pings["error"] if counter is None else counter).inc()
        if seconds is not None:
            series.ping_seconds.observe(seconds)

    def bid(self, offer: OfferId, amount: Decimal) -> None:
        """One valid bid."""
        series = self._bidding.get(offer, self._other_bidding)
        series.bids.inc()
        series.bid_amount.observe(float(amount))

    def posted(self, offer: OfferId, outcome: str, seconds: float) -> None:
        """One post: ``accepted``, ``rejected``, ``unknown`` or ``error``; seconds with retries."""
        series = self._bidding.get(offer, self._other_bidding)
        counter = series.posts.get(outcome)
        (series.posts[PostOutcome.ERROR.value] if counter is None else counter).inc()
        series.post_seconds.observe(seconds)

    def decided(
        self,
        campaign: CampaignId | None,
        routed_by: RoutedBy | None,
        seconds: float,
        overhead_seconds: float,
    ) -> None:
        """One decision: ``routed_by`` None for no route, ``campaign`` None for a call of none."""
        series = self._campaign(campaign)
        series.calls.of(routed_by).inc()
        series.decision_seconds.observe(seconds)
        self._service.overhead.observe(overhead_seconds)

    def routed(self, offer: OfferId, routed_by: RoutedBy) -> None:
        """One call was routed to an offer; a test call is not told."""
        self._routes.get(offer, self._other_routes).of(routed_by).inc()

    def tested(self, campaign: CampaignId | None, routed_by: RoutedBy | None) -> None:
        """One decision on a test call, kept apart from all other figures of calls."""
        self._campaign(campaign).test_calls.of(routed_by).inc()

    def rerouted(self, campaign: CampaignId | None, routed_by: RoutedBy | None) -> None:
        """One decision after an attempt had failed; its call was counted with the first."""
        self._campaign(campaign).next_routes.of(routed_by).inc()

    def earned(
        self, campaign: CampaignId | None, currency: str, side: Side, amount: Decimal
    ) -> None:
        """What a conversion is worth to us, or to the source.

        Counters only rise: what is amended or withdrawn shows in reports, not here.
        """
        if amount > 0:
            self._campaign(campaign).money_in(currency)[side].inc(float(amount))

    def _campaign(self, campaign: CampaignId | None) -> CampaignSeries:
        if campaign is None:
            return self._unknown_campaign
        return self._campaigns.get(campaign, self._other_campaign)

    def show_usage(self, figures: UsageFigures) -> None:
        """Live calls and cap usage.

        Of offers without a label the live calls add up as ``other``, and of each limit the fullest
        is shown.
        """
        folded = 0
        for offer, live in figures.live.items():
            series = self._capacity.get(offer)
            if series is None:
                folded += live
            else:
                series.live.set(live)
        self._other_capacity.live.set(folded)
        self._show_ratios(figures.ratios)

    def _show_ratios(self, ratios: Mapping[tuple[OfferId, str], float]) -> None:
        fullest: dict[str, float] = {}
        for (offer, cap), ratio in ratios.items():
            series = self._capacity.get(offer)
            if series is None:
                fullest[cap] = max(fullest.get(cap, 0.0), ratio)
            elif cap in series.ratios:
                series.ratios[cap].set(ratio)
        for cap, gauge in self._other_capacity.ratios.items():
            gauge.set(fullest.get(cap, 0.0))

    def breaker(self, offer: OfferId, state: BreakerState) -> None:
        """An offer's circuit breaker has changed its state; ``other`` shows the worst."""
        if state is BreakerState.CLOSED:
            self._breakers.pop(offer, None)
        else:
            self._breakers[offer] = state
        series = self._bidding.get(offer)
        if series is not None:
            series.breaker.set(state)
        else:
            self._show_folded_breakers()

    def _show_folded_breakers(self) -> None:
        # A copy: this runs beside the loop when a catalogue is taken up.
        open_ones = self._breakers.copy()
        folded = (state for offer, state in open_ones.items() if offer in self._folded)
        self._other_bidding.breaker.set(max(folded, default=BreakerState.CLOSED))

    def shadowed(self, offer: OfferId, reason: Reason) -> None:
        """One ping that would have been held back but for shadow mode."""
        self._bidding.get(offer, self._other_bidding).shadows[reason.outcome].inc()

    def overloaded(self, level: LoadLevel) -> None:
        """One call that the load left without an auction or without an answer."""
        self._service.overloaded[_UNASKED[level]].inc()

    def load_level(self, level: LoadLevel) -> None:
        """What is done with new calls from now on."""
        self._service.load.set(level)

    def in_flight(self, calls: int, waiting: int) -> None:
        """How many calls are under decision, and how many steps wait for a batch."""
        self._service.in_flight.set(calls)
        self._service.waiting.set(waiting)

    def ledger_batch(self, step: LedgerStep, size: int, seconds: float) -> None:
        """One batch of the ledger has ended."""
        self._service.batch.observe(size)
        self._service.ledger_seconds[step].observe(seconds)

    def loop_lag(self, seconds: float) -> None:
        """The event loop's lag as measured last; a moment to look at the collector, too."""
        self._service.lag.set(seconds)
        self._collections.take_over(gc.get_stats())

    def workers(self, alive: int, replaced: int = 0) -> None:
        """How many processes decide calls, and how many of those that died were replaced."""
        self._workers.alive.set(alive)
        self._workers.restarts.rise_to(replaced)

    def show_alerts(self, firing: Mapping[str, int]) -> None:
        """How many alerts are active, by rule; of a rule that is absent there is no series."""
        before = self._alerts
        rules = sorted(firing)[:ALERT_LABEL_LIMIT]
        self._alerts = {rule: before.get(rule) or AlertSeries(rule) for rule in rules}
        for rule, series in self._alerts.items():
            series.firing.set(firing[rule])

    def show_dead_letters(self, number: int) -> None:
        """How many deliveries of webhooks were given up."""
        self._oversight.dead_letters.set(number)

    def show_report_backlog(self, waiting: int, oldest_s: float) -> None:
        """What waits to be folded into the figures, and how long the oldest has, in seconds."""
        self._oversight.backlog.set(waiting)
        self._oversight.backlog_seconds.set(oldest_s)

    def show_checks(self, passed: Mapping[str, bool]) -> None:
        """Whether what the service needs is as it should be, by name."""
        for check, is_well in passed.items():
            if check not in self._checks:
                self._checks[check] = CheckSeries(check)
            self._checks[check].passed.set(is_well)

    async def exposition(self) -> bytes:
        """The Prometheus text of everything; gives way to other work every millisecond or so."""
        return await render(self._groups())

    def _groups(self) -> Iterator[Iterable[Metric]]:
        bidding = [self._other_bidding, *self._bidding.values()]
        routes = [self._other_routes, *self._routes.values()]
        capacity = [self._other_capacity, *self._capacity.values()]
        campaigns = [self._unknown_campaign, self._other_campaign, *self._campaigns.values()]
        alerts, checks = list(self._alerts.values()), list(self._checks.values())
        for series in (bidding, routes, capacity, campaigns, alerts, checks):
            for group in zip(*(each.families for each in series), strict=True):
                yield (part for family in group for part in family.collect())
        singles = (self._service, self._collections, self._oversight, self._workers)
        for single in singles:
            for family in single.families:
                yield family.collect()
        for process in self._processes:
            for metric in process.collect():
                yield (metric,)


def layout() -> bytes:
    """32 bytes that are the same for two programs that count the same in the same cells."""
    store = PrivateCells()
    kinds = (
        BiddingSeries(store, OTHER),
        RouteSeries(store, OTHER),
        CampaignSeries(store, OTHER, OTHER),
        ServiceSeries(store),
        CollectionSeries(store),
    )
    samples = (
        f"{sample.name} {sorted(sample.labels.items())}"
        for kind in kinds
        for family in kind.families
        for metric in family.collect()
        for sample in metric.samples
    )
    sizes = (f"{name} {len(cells)}" for name, cells in store.blocks().items())
    return hashlib.sha256("\n".join((*samples, *sizes)).encode()).digest()


def _capacity(before: CapacitySeries | None, offer: str, caps: frozenset[str]) -> CapacitySeries:
    """The series as they were, unless the limits are others."""
    return before if before is not None and before.caps == caps else CapacitySeries(offer, caps)
