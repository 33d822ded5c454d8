"""What is counted, as a scrape shows it."""

import re
from decimal import Decimal

import pytest
from prometheus_client.parser import text_string_to_metric_families

from auction.domain.breaker import BreakerState
from auction.domain.conversions import Side
from auction.domain.ids import CampaignId, OfferId, buyer_owner, offer_owner
from auction.domain.overload import LoadLevel
from auction.domain.ping_rate import PingRateTerms
from auction.domain.plan import RoutedBy
from auction.domain.reasons import Reason
from auction.domain.terms import Cap, Catalogue, Measure, Period
from auction.domain.usage import Change, Usage, apply
from auction.domain.windows import window_starts
from auction.ports import LedgerStep, Recorder
from metrics import exposition as exposition_module
from metrics import names
from metrics.names import PostOutcome
from metrics.registry import Metrics
from metrics.usage_figures import usage_figures
from tests.builders import (
    CAMPAIGN,
    NEW_YORK,
    NOON,
    a_campaign,
    a_catalogue,
    a_static_offer,
    an_offer,
    ping_post,
)
from tests.guard_steps import breaker_terms

ACME, COBALT = OfferId("acme-auto"), OfferId("cobalt-auto")

CONTRACT = {
    "pingpost_calls_total": ("counter", {"campaign", "outcome"}),
    "pingpost_pings_total": ("counter", {"offer", "outcome"}),
    "pingpost_ping_seconds": ("histogram", {"offer"}),
    "pingpost_bids_total": ("counter", {"offer"}),
    "pingpost_bid_amount": ("summary", {"offer"}),
    "pingpost_posts_total": ("counter", {"offer", "outcome"}),
    "pingpost_post_seconds": ("histogram", {"offer"}),
    "pingpost_decision_seconds": ("histogram", {"campaign"}),
    "pingpost_overhead_seconds": ("histogram", set()),
    "pingpost_live_calls": ("gauge", {"offer"}),
    "pingpost_cap_used_ratio": ("gauge", {"offer", "cap"}),
    "pingpost_revenue_total": ("counter", {"campaign", "currency"}),
    "pingpost_breaker_state": ("gauge", {"offer"}),
    "pingpost_ledger_batch_size": ("histogram", set()),
    "pingpost_event_loop_lag_seconds": ("gauge", set()),
}
"""Every name of the contract, its kind and its labels."""

OURS = {
    "pingpost_shadow_held_back_total": ("counter", {"offer", "reason"}),
    "pingpost_overload_level": ("gauge", set()),
    "pingpost_overloaded_calls_total": ("counter", {"outcome"}),
    "pingpost_test_calls_total": ("counter", {"campaign", "outcome"}),
    "pingpost_next_routes_total": ("counter", {"campaign", "outcome"}),
    "pingpost_routes_total": ("counter", {"offer", "routed_by"}),
    "pingpost_payout_total": ("counter", {"campaign", "currency"}),
    "pingpost_ledger_seconds": ("histogram", {"step"}),
    "pingpost_ledger_waiting": ("gauge", set()),
    "pingpost_calls_in_flight": ("gauge", set()),
    "pingpost_dead_letters": ("gauge", set()),
    "pingpost_report_backlog": ("gauge", set()),
    "pingpost_report_backlog_seconds": ("gauge", set()),
    "pingpost_folded_labels": ("gauge", {"label"}),
    "pingpost_workers": ("gauge", set()),
    "pingpost_worker_restarts_total": ("counter", set()),
}
"""What is counted beside it."""

DAILY = Cap(Measure.CALLS, Period.DAY, 10)
EARNINGS = Cap(Measure.REVENUE, Period.TOTAL, 1_000_000)

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def a_marketplace(*offers: str) -> Catalogue:
    bidders = [an_offer(offer) for offer in offers]
    return a_catalogue(a_campaign(*bidders, a_static_offer("cobalt-auto", caps=[DAILY])))


def loaded() -> Metrics:
    metrics = Metrics()
    metrics.preload(a_marketplace("acme-auto"))
    return metrics


async def scrape(metrics: Metrics) -> Samples:
    return samples_of((await metrics.exposition()).decode())


def samples_of(text: str) -> Samples:
    samples: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in samples, f"{key} is there twice"
            samples[key] = sample.value
    return samples


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


def labels_shown(samples: Samples, name: str, label: str) -> set[str]:
    return {dict(labels)[label] for sample, labels in samples if sample == name}


async def test_every_name_kind_and_label_of_the_contract_is_there_from_the_start() -> None:
    text = (await loaded().exposition()).decode()
    found: dict[str, tuple[str, set[str]]] = {}
    for family in text_string_to_metric_families(text):
        if not family.name.startswith("pingpost_"):
            continue
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {frozenset(sample.labels) - {"le"} for sample in family.samples}
        assert len(labels) == 1, f"{name} has series without all labels"
        found[name] = (family.type, set(labels.pop()))
    assert found == CONTRACT | OURS


async def test_help_and_type_are_told_once_per_name_however_many_slices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    metrics = Metrics()
    metrics.preload(a_marketplace(*(f"offer-{number:02}" for number in range(30))))
    whole = await metrics.exposition()
    monkeypatch.setattr(exposition_module, "_SLICE_SAMPLES", 7)
    sliced = await metrics.exposition()
    heads = re.findall(rb"^# TYPE (\w+)", sliced, re.MULTILINE)
    assert len(heads) == len(set(heads))
    assert without_process(sliced) == without_process(whole)


def without_process(text: bytes) -> list[bytes]:
    return [line for line in text.splitlines() if b"pingpost_" in line]


async def test_the_process_and_the_garbage_collector_are_shown() -> None:
    text = await loaded().exposition()
    assert b"\nprocess_resident_memory_bytes " in text
    assert b"\npython_gc_collections_total{" in text
    assert b"\npython_info{" in text
    assert b"_created" not in text


async def test_pings_are_counted_by_outcome_and_timed_where_an_answer_came() -> None:
    recorder: Recorder = (metrics := loaded())
    recorder.pinged(ACME, "bid", 0.12)
    recorder.pinged(ACME, Reason.TIMEOUT.outcome, None)
    recorder.bid(ACME, Decimal("52.50"))
    samples = await scrape(metrics)
    assert value(samples, "pingpost_pings_total", offer=ACME, outcome="bid") == 1
    assert value(samples, "pingpost_pings_total", offer=ACME, outcome="timeout") == 1
    assert value(samples, "pingpost_pings_total", offer=ACME, outcome="no_bid") == 0
    assert value(samples, "pingpost_ping_seconds_count", offer=ACME) == 1
    assert value(samples, "pingpost_ping_seconds_bucket", offer=ACME, le="0.1") == 0
    assert value(samples, "pingpost_ping_seconds_bucket", offer=ACME, le="0.15") == 1
    assert value(samples, "pingpost_bids_total", offer=ACME) == 1
    assert value(samples, "pingpost_bid_amount_sum", offer=ACME) == 52.5


async def test_every_outcome_of_a_ping_has_its_series_before_the_first() -> None:
    samples = await scrape(loaded())
    outcomes = labels_shown(samples, "pingpost_pings_total", "outcome")
    assert outcomes == set(names.PING_OUTCOMES)
    assert {"bid", "timeout", "below_minimum", "breaker_open", "expired"} <= outcomes


async def test_an_outcome_unheard_of_makes_no_new_series() -> None:
    metrics = loaded()
    metrics.pinged(ACME, "surprise", None)
    metrics.posted(ACME, "surprise", 0.1)
    samples = await scrape(metrics)
    assert value(samples, "pingpost_pings_total", offer=ACME, outcome="error") == 1
    assert value(samples, "pingpost_posts_total", offer=ACME, outcome="error") == 1
    assert value(samples, "pingpost_pings_total", offer=ACME, outcome="surprise") is None


@pytest.mark.parametrize("outcome", list(PostOutcome))
async def test_posts_are_counted_and_timed(outcome: PostOutcome) -> None:
    metrics = loaded()
    metrics.posted(ACME, outcome.value, 0.03)
    samples = await scrape(metrics)
    assert value(samples, "pingpost_posts_total", offer=ACME, outcome=outcome.value) == 1
    assert value(samples, "pingpost_post_seconds_sum", offer=ACME) == 0.03


@pytest.mark.parametrize(
    ("routed_by", "outcome"),
    [(RoutedBy.AUCTION, "auction"), (RoutedBy.STATIC, "static"), (None, "no_route")],
)
async def test_decisions_are_counted_by_how_they_routed(
    routed_by: RoutedBy | None, outcome: str
) -> None:
    metrics = loaded()
    metrics.decided(CAMPAIGN, routed_by, 0.2, 0.004)
    samples = await scrape(metrics)
    assert value(samples, "pingpost_calls_total", campaign=CAMPAIGN, outcome=outcome) == 1
    assert value(samples, "pingpost_decision_seconds_sum", campaign=CAMPAIGN) == 0.2
    assert value(samples, "pingpost_overhead_seconds_sum") == 0.004


async def test_a_call_of_no_campaign_counts_as_unknown() -> None:
    metrics = loaded()
    metrics.decided(None, None, 0.001, 0.001)
    samples = await scrape(metrics)
    assert value(samples, "pingpost_calls_total", campaign="unknown", outcome="no_route") == 1


async def test_revenue_and_payout_are_counted_per_currency_and_never_fall() -> None:
    metrics = loaded()
    before = value(
        await scrape(metrics), "pingpost_revenue_total", campaign=CAMPAIGN, currency="USD"
    )
    metrics.earned(CAMPAIGN, "USD", Side.BUYER, Decimal("52.00"))
    metrics.earned(CAMPAIGN, "USD", Side.BUYER, Decimal("-52.00"))
    metrics.earned(CAMPAIGN, "USD", Side.SOURCE, Decimal("20.50"))
    metrics.earned(CampaignId("gone"), "USD", Side.BUYER, Decimal(1))
    samples = await scrape(metrics)
    assert before == 0
    assert value(samples, "pingpost_revenue_total", campaign=CAMPAIGN, currency="USD") == 52
    assert value(samples, "pingpost_payout_total", campaign=CAMPAIGN, currency="USD") == 20.5
    assert value(samples, "pingpost_revenue_total", campaign="other", currency="USD") == 1


async def test_an_offer_that_never_bids_has_no_bidding_series() -> None:
    samples = await scrape(loaded())
    assert labels_shown(samples, "pingpost_bids_total", "offer") == {"acme-auto", "other"}
    assert labels_shown(samples, "pingpost_live_calls", "offer") == {
        "acme-auto",
        "cobalt-auto",
        "other",
    }


async def test_a_new_catalogue_adds_series_drops_the_gone_and_keeps_the_counts() -> None:
    metrics = Metrics()
    metrics.preload(a_marketplace("acme-auto", "beacon-auto"))
    metrics.pinged(ACME, "bid", 0.1)
    metrics.preload(a_marketplace("acme-auto", "delta-auto"))
    metrics.pinged(OfferId("beacon-auto"), "bid", 0.1)
    samples = await scrape(metrics)
    offers = labels_shown(samples, "pingpost_pings_total", "offer")
    assert offers == {"acme-auto", "delta-auto", "other"}
    assert value(samples, "pingpost_pings_total", offer=ACME, outcome="bid") == 1
    assert value(samples, "pingpost_pings_total", offer="other", outcome="bid") == 1


async def test_a_campaign_that_is_gone_drops_its_series() -> None:
    metrics = loaded()
    metrics.preload(a_catalogue(a_campaign(an_offer(campaign="home"), campaign_id="home")))
    samples = await scrape(metrics)
    assert labels_shown(samples, "pingpost_calls_total", "campaign") == {
        "home",
        "unknown",
        "other",
    }


async def test_an_offer_named_like_a_reserved_label_makes_no_second_series() -> None:
    metrics = Metrics()
    metrics.preload(a_catalogue(a_campaign(an_offer("other"), campaign_id="unknown")))
    metrics.pinged(OfferId("other"), "bid", 0.1)
    samples = await scrape(metrics)
    assert value(samples, "pingpost_pings_total", offer="other", outcome="bid") == 1


async def test_live_calls_and_cap_ratios_show_used_and_pending() -> None:
    catalogue = a_catalogue(
        a_campaign(
            an_offer("acme-auto", caps=[DAILY], concurrency=4, buyer_caps=[EARNINGS]),
            an_offer("beacon-auto", buyer="beacon", buyer_concurrency=0),
        )
    )
    starts = window_starts(NOON, NEW_YORK)
    usage = {
        offer_owner(ACME): apply(Usage(), starts, Change(1, (2, 0, 0, 0), (1, 1, 0, 0))),
        buyer_owner(catalogue.offers[ACME].buyer): apply(
            Usage(), starts, Change(used=(0, 0, 0, 500_000))
        ),
    }
    metrics = Metrics()
    metrics.preload(catalogue)
    metrics.show_usage(usage_figures(catalogue, usage, NOON))
    samples = await scrape(metrics)
    ratio = "pingpost_cap_used_ratio"
    assert value(samples, "pingpost_live_calls", offer=ACME) == 1
    assert value(samples, ratio, offer=ACME, cap="offer_calls_per_day") == 0.3
    assert value(samples, ratio, offer=ACME, cap="offer_concurrency") == 0.25
    assert value(samples, ratio, offer=ACME, cap="buyer_revenue_in_total") == 0.5
    assert value(samples, ratio, offer="beacon-auto", cap="buyer_concurrency") == 1
    assert labels_shown(samples, ratio, "cap") <= set(names.CAP_LABELS)


async def test_a_cap_that_is_taken_away_takes_its_series_along() -> None:
    metrics = Metrics()
    metrics.preload(a_catalogue(a_campaign(an_offer("acme-auto", caps=[DAILY], concurrency=1))))
    metrics.preload(a_catalogue(a_campaign(an_offer("acme-auto", concurrency=1))))
    samples = await scrape(metrics)
    assert labels_shown(samples, "pingpost_cap_used_ratio", "cap") == {"offer_concurrency"}


async def test_alerts_are_shown_by_rule_of_those_that_there_are_and_never_too_many() -> None:
    metrics, shown = Metrics(), "pingpost_alerts_firing"
    metrics.show_alerts({"slow": 2, "no-calls": 0})
    samples = await scrape(metrics)
    assert value(samples, shown, alert="slow") == 2
    assert value(samples, shown, alert="no-calls") == 0
    metrics.show_alerts({f"rule-{number:04}": 1 for number in range(1_200)})
    labels = labels_shown(await scrape(metrics), shown, "alert")
    assert len(labels) == 1_000
    assert "slow" not in labels


async def test_breaker_batch_and_lag_are_shown() -> None:
    metrics = loaded()
    closed = value(await scrape(metrics), "pingpost_breaker_state", offer=ACME)
    metrics.breaker(ACME, BreakerState.OPEN)
    metrics.breaker(OfferId("nobody"), BreakerState.OPEN)
    metrics.ledger_batch(LedgerStep.FINISH, 7, 0.004)
    metrics.loop_lag(0.25)
    samples = await scrape(metrics)
    assert closed == 0
    assert value(samples, "pingpost_breaker_state", offer=ACME) == 2
    assert value(samples, "pingpost_breaker_state", offer="other") == 0
    assert value(samples, "pingpost_ledger_batch_size_sum") == 7
    assert value(samples, "pingpost_ledger_seconds_bucket", step="finish", le="0.005") == 1
    assert value(samples, "pingpost_ledger_seconds_count", step="open") == 0
    assert value(samples, "pingpost_event_loop_lag_seconds") == 0.25


async def test_offers_in_shadow_mode_show_what_would_have_been_held_back() -> None:
    terms = ping_post(ping_rate=PingRateTerms(1, shadow=True), breaker=breaker_terms(shadow=True))
    metrics = Metrics()
    metrics.preload(a_catalogue(a_campaign(an_offer(ACME, ping_post=terms), an_offer("beacon"))))
    metrics.shadowed(ACME, Reason.THROTTLED)
    metrics.shadowed(OfferId("nobody"), Reason.BREAKER_OPEN)
    samples, name = await scrape(metrics), "pingpost_shadow_held_back_total"
    assert value(samples, name, offer=ACME, reason="throttled") == 1
    assert value(samples, name, offer=ACME, reason="breaker_open") == 0
    assert value(samples, name, offer="other", reason="breaker_open") == 1
    assert value(samples, name, offer="beacon", reason="breaker_open") == 0


async def test_overload_is_shown() -> None:
    recorder: Recorder = (metrics := Metrics())
    before = await scrape(metrics)
    assert value(before, "pingpost_overload_level") == 0
    assert value(before, "pingpost_overloaded_calls_total", outcome="refused") == 0
    metrics.load_level(LoadLevel.REFUSE)
    recorder.overloaded(LoadLevel.REFUSE)
    recorder.overloaded(LoadLevel.STATIC_ONLY)
    samples = await scrape(metrics)
    assert value(samples, "pingpost_overload_level") == 2
    assert value(samples, "pingpost_overloaded_calls_total", outcome="refused") == 1
    assert value(samples, "pingpost_overloaded_calls_total", outcome="static") == 1


async def test_routes_are_counted_by_offer_and_way() -> None:
    recorder: Recorder = (metrics := loaded())
    recorder.routed(ACME, RoutedBy.AUCTION)
    recorder.routed(COBALT, RoutedBy.STATIC)
    recorder.routed(OfferId("gone"), RoutedBy.STATIC)
    samples, name = await scrape(metrics), "pingpost_routes_total"
    assert value(samples, name, offer=ACME, routed_by="auction") == 1
    assert value(samples, name, offer=ACME, routed_by="static") == 0
    assert value(samples, name, offer=COBALT, routed_by="static") == 1
    assert value(samples, name, offer="other", routed_by="static") == 1


async def test_what_is_under_way_and_what_is_amiss_are_shown() -> None:
    metrics = loaded()
    before = await scrape(metrics)
    metrics.in_flight(12, 3)
    metrics.show_dead_letters(4)
    metrics.show_report_backlog(7, 2.5)
    metrics.show_checks({"database": False, "catalogue": True})
    samples = await scrape(metrics)
    assert labels_shown(before, "pingpost_ready", "check") == set(), "nobody has looked yet"
    assert value(samples, "pingpost_calls_in_flight") == 12
    assert value(samples, "pingpost_ledger_waiting") == 3
    assert value(samples, "pingpost_dead_letters") == 4
    assert value(samples, "pingpost_report_backlog") == 7
    assert value(samples, "pingpost_report_backlog_seconds") == 2.5
    assert value(samples, "pingpost_ready", check="database") == 0
    assert value(samples, "pingpost_ready", check="catalogue") == 1


async def test_test_calls_are_counted_apart() -> None:
    metrics = Metrics()
    metrics.tested(None, RoutedBy.STATIC)
    text = (await metrics.exposition()).decode()
    assert 'pingpost_test_calls_total{campaign="unknown",outcome="static"} 1.0' in text
    assert 'pingpost_calls_total{campaign="unknown",outcome="static"} 0.0' in text
