"""The series of one label value: made when it appears, dropped as a whole when it goes."""

from collections.abc import Iterable

from prometheus_client import Counter, Gauge, Histogram, Summary

from metrics import names
from metrics.names import BreakerState, CallOutcome, PostOutcome

Family = Counter | Gauge | Histogram | Summary
"""One metric with its children; one per label value, so that a scrape can be cut into slices."""


class BiddingSeries:
    """What is counted of an offer that is pinged."""

    __slots__ = (
        "bid_amount",
        "bids",
        "breaker",
        "families",
        "ping_seconds",
        "pings",
        "post_seconds",
        "posts",
    )

    def __init__(self, offer: str) -> None:
        pings = _counter(names.PINGS, "Pings by outcome.", "offer", "outcome")
        ping_seconds = _histogram(
            names.PING_SECONDS, "Time until a ping was answered.", names.PING_BUCKETS, "offer"
        )
        bids = _counter(names.BIDS, "Valid bids.", "offer")
        bid_amount = Summary(names.BID_AMOUNT, "Amounts of valid bids.", ["offer"], registry=None)
        posts = _counter(names.POSTS, "Posts by outcome.", "offer", "outcome")
        post_seconds = _histogram(
            names.POST_SECONDS,
            "Time that a post took, retries included.",
            names.POST_BUCKETS,
            "offer",
        )
        breaker = _gauge(
            names.BREAKER_STATE, "Circuit breaker: 0 closed, 1 half open, 2 open.", "offer"
        )
        self.pings = {name: pings.labels(offer, name) for name in names.PING_OUTCOMES}
        self.ping_seconds = ping_seconds.labels(offer)
        self.bids = bids.labels(offer)
        self.bid_amount = bid_amount.labels(offer)
        self.posts = {name.value: posts.labels(offer, name.value) for name in PostOutcome}
        self.post_seconds = post_seconds.labels(offer)
        self.breaker = breaker.labels(offer)
        self.breaker.set(BreakerState.CLOSED)
        self.families: tuple[Family, ...] = (
            pings,
            ping_seconds,
            bids,
            bid_amount,
            posts,
            post_seconds,
            breaker,
        )


class CapacitySeries:
    """What is shown of an offer's limits and live calls; ``caps`` are label values."""

    __slots__ = ("caps", "families", "live", "ratios")

    def __init__(self, offer: str, caps: Iterable[str]) -> None:
        live = _gauge(names.LIVE_CALLS, "Calls that hold a slot now.", "offer")
        ratio = _gauge(names.CAP_USED_RATIO, "Used and pending share of a limit.", "offer", "cap")
        self.caps = frozenset(caps)
        self.live = live.labels(offer)
        self.ratios = {cap: ratio.labels(offer, cap) for cap in sorted(self.caps)}
        self.families: tuple[Family, ...] = (live, ratio)


class CampaignSeries:
    """What is counted of a campaign."""

    __slots__ = (
        "_campaign",
        "_revenue",
        "calls",
        "decision_seconds",
        "families",
        "next_routes",
        "revenue",
        "test_calls",
    )

    def __init__(self, campaign: str, currency: str | None) -> None:
        calls = _counter(names.CALLS, "Calls decided, by outcome.", "campaign", "outcome")
        tests = _counter(names.TEST_CALLS, "Test calls decided.", "campaign", "outcome")
        next_routes = _counter(
            names.NEXT_ROUTES, "Routes asked for after an attempt failed.", "campaign", "outcome"
        )
        decision_seconds = _histogram(
            names.DECISION_SECONDS,
            "Time from a call's arrival to its durable decision.",
            names.DECISION_BUCKETS,
            "campaign",
        )
        self._campaign = campaign
        self._revenue = _counter(names.REVENUE, "Revenue of conversions.", "campaign", "currency")
        self.calls = {name: calls.labels(campaign, name.value) for name in CallOutcome}
        self.test_calls = {name: tests.labels(campaign, name.value) for name in CallOutcome}
        self.next_routes = {name: next_routes.labels(campaign, name.value) for name in CallOutcome}
        self.decision_seconds = decision_seconds.labels(campaign)
        self.revenue: dict[str, Counter] = {}
        if currency is not None:
            self.revenue_in(currency)
        self.families: tuple[Family, ...] = (
            calls,
            tests,
            next_routes,
            decision_seconds,
            self._revenue,
        )

    def revenue_in(self, currency: str) -> Counter:
        """The revenue counter of a currency, made on first use."""
        if currency not in self.revenue:
            self.revenue[currency] = self._revenue.labels(self._campaign, currency)
        return self.revenue[currency]


def _counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(name, text, labels, registry=None)


def _gauge(name: str, text: str, *labels: str) -> Gauge:
    return Gauge(name, text, labels, registry=None)


def _histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(name, text, labels, buckets=buckets, registry=None)
