"""Everything that is counted, with a closed set of label values and one cached child per series."""

import gc
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import TypeVar

from prometheus_client import (
    Metric,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.registry import Collector

from auction.domain.breaker import BreakerState
from auction.domain.ids import CampaignId, OfferId
from auction.domain.overload import LoadLevel
from auction.domain.plan import RoutedBy
from auction.domain.reasons import Reason
from auction.domain.terms import Catalogue
from metrics.cells import CellStore, PrivateCells
from metrics.exposition import render
from metrics.names import OTHER, RESERVED_LABELS, UNKNOWN, CallOutcome, PostOutcome, Unasked
from metrics.series import (
    AlertSeries,
    BiddingSeries,
    CampaignSeries,
    CapacitySeries,
    CollectionSeries,
    ServiceSeries,
    WorkerSeries,
)
from metrics.usage_figures import UsageFigures, limit_labels

DEFAULT_LABEL_LIMIT = 2000
ALERT_LABEL_LIMIT = 1000

_Id = TypeVar("_Id", bound=str)

_CALL_OUTCOMES = {
    RoutedBy.AUCTION: CallOutcome.AUCTION,
    RoutedBy.STATIC: CallOutcome.STATIC,
    None: CallOutcome.NO_ROUTE,
}

_UNASKED = {LoadLevel.STATIC_ONLY: Unasked.STATIC, LoadLevel.REFUSE: Unasked.REFUSED}


class Metrics:
    """The metrics of one process; implements ``auction.ports.Recorder``.

    ``offer_limit`` and ``campaign_limit`` bound the label values: what comes beyond them, and what
    is no longer in the catalogue, is counted under ``other``. What is counted is kept in ``store``,
    by default in this process's own memory. ``processes`` shows CPU, memory and files.
    """

    def __init__(
        self,
        *,
        offer_limit: int = DEFAULT_LABEL_LIMIT,
        campaign_limit: int = DEFAULT_LABEL_LIMIT,
        store: CellStore | None = None,
        processes: Collector | None = None,
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library left it untyped
        self._offer_limit = offer_limit
        self._campaign_limit = campaign_limit
        self._store = store = PrivateCells() if store is None else store
        self._bidding: dict[OfferId, BiddingSeries] = {}
        self._capacity: dict[OfferId, CapacitySeries] = {}
        self._campaigns: dict[CampaignId, CampaignSeries] = {}
        self._other_bidding = BiddingSeries(store, OTHER)
        self._other_capacity = CapacitySeries(OTHER, ())
        self._other_campaign = CampaignSeries(store, OTHER, None)
        self._unknown_campaign = CampaignSeries(store, UNKNOWN, None)
        self._service = ServiceSeries(store)
        self._collections = CollectionSeries(store)
        self._workers = WorkerSeries()
        self._alerts: dict[str, AlertSeries] = {}
        self._processes = (
            ProcessCollector(registry=None) if processes is None else processes,
            PlatformCollector(registry=None),
        )

    def preload(self, catalogue: Catalogue) -> None:
        """Make every series of a catalogue; drop those of offers and campaigns that are gone."""
        shown = _within(catalogue.offers, self._capacity, self._offer_limit)
        self._preload_offers(catalogue, shown)
        self._preload_campaigns(catalogue)

    def _preload_offers(self, catalogue: Catalogue, shown: set[OfferId]) -> None:
        before, store = self._bidding, self._store
        auctioned = {offer for offer in shown if catalogue.offers[offer].auctioned}
        self._bidding = {
            offer: before.get(offer) or BiddingSeries(store, offer) for offer in sorted(auctioned)
        }
        self._capacity = {
            offer: self._capacity_of(offer, frozenset(limit_labels(catalogue.offers[offer])))
            for offer in sorted(shown)
        }
        for offer in before.keys() - auctioned:
            before[offer].drop(store)

    def _preload_campaigns(self, catalogue: Catalogue) -> None:
        before, store = self._campaigns, self._store
        campaigns = _within(catalogue.campaigns, before, self._campaign_limit)
        self._campaigns = {
            each: before.get(each) or CampaignSeries(store, each, catalogue.currency)
            for each in sorted(campaigns)
        }
        for series in self._campaigns.values():
            series.revenue_in(catalogue.currency)
        for campaign in before.keys() - campaigns:
            before[campaign].drop(store)

    def _capacity_of(self, offer: OfferId, caps: frozenset[str]) -> CapacitySeries:
        existing = self._capacity.get(offer)
        if existing is not None and existing.caps == caps:
            return existing
        return CapacitySeries(offer, caps)

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
        series.calls[_CALL_OUTCOMES[routed_by]].inc()
        series.decision_seconds.observe(seconds)
        self._service.overhead.observe(overhead_seconds)

    def tested(self, campaign: CampaignId | None, routed_by: RoutedBy | None) -> None:
        """One decision on a test call, kept apart from all other figures of calls."""
        self._campaign(campaign).test_calls[_CALL_OUTCOMES[routed_by]].inc()

    def rerouted(self, campaign: CampaignId | None, routed_by: RoutedBy | None) -> None:
        """One decision after an attempt had failed; its call was counted with the first."""
        self._campaign(campaign).next_routes[_CALL_OUTCOMES[routed_by]].inc()

    def earned(self, campaign: CampaignId | None, currency: str, amount: Decimal) -> None:
        """Revenue of a conversion. Counters only rise: a withdrawal shows in reports, not here."""
        if amount > 0:
            self._campaign(campaign).revenue_in(currency).inc(float(amount))

    def _campaign(self, campaign: CampaignId | None) -> CampaignSeries:
        if campaign is None:
            return self._unknown_campaign
        return self._campaigns.get(campaign, self._other_campaign)

    def show_usage(self, figures: UsageFigures) -> None:
        """Live calls and cap usage; live calls of offers without a label add up as ``other``."""
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
        for (offer, cap), ratio in ratios.items():
            series = self._capacity.get(offer)
            gauge = None if series is None else series.ratios.get(cap)
            if gauge is not None:
                gauge.set(ratio)

    def breaker(self, offer: OfferId, state: BreakerState) -> None:
        """An offer's circuit breaker has changed its state."""
        series = self._bidding.get(offer)
        if series is not None:
            series.breaker.set(state)

    def shadowed(self, offer: OfferId, reason: Reason) -> None:
        """One ping that would have been held back but for shadow mode."""
        self._bidding.get(offer, self._other_bidding).shadows[reason.outcome].inc()

    def overloaded(self, level: LoadLevel) -> None:
        """One call that the load left without an auction or without an answer."""
        self._service.overloaded[_UNASKED[level]].inc()

    def load_level(self, level: LoadLevel) -> None:
        """What is done with new calls from now on."""
        self._service.load.set(level)

    def ledger_batch(self, size: int) -> None:
        """One batch of the ledger was committed."""
        self._service.batch.observe(size)

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

    async def exposition(self) -> bytes:
        """The Prometheus text of everything; gives way to other work every millisecond or so."""
        return await render(self._groups())

    def _groups(self) -> Iterator[Iterable[Metric]]:
        bidding = [self._other_bidding, *self._bidding.values()]
        capacity = [self._other_capacity, *self._capacity.values()]
        campaigns = [self._unknown_campaign, self._other_campaign, *self._campaigns.values()]
        for series in (bidding, capacity, campaigns, list(self._alerts.values())):
            for group in zip(*(each.families for each in series), strict=True):
                yield (part for family in group for part in family.collect())
        for single in (*self._service.families, *self._collections.families):
            yield single.collect()
        for shown in (*self._workers.families, *self._processes):
            for metric in shown.collect():
                yield (metric,)


def layout() -> bytes:
    """32 bytes that are the same for two programs that count the same in the same cells."""
    store = PrivateCells()
    kinds = (
        BiddingSeries(store, OTHER),
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


def _within(wanted: Iterable[_Id], shown: Iterable[_Id], limit: int) -> set[_Id]:
    """At most ``limit`` ids: those that have a label keep it, the rest follow in order of id."""
    candidates = set(wanted) - RESERVED_LABELS
    kept = candidates.intersection(shown)
    room = max(0, limit - len(kept))
    return kept | set(sorted(candidates - kept)[:room])
