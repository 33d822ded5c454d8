"""The demo's tables from what service and buyers report."""

from decimal import Decimal
from typing import Any

import pytest

from auction.demo.figures import Scrape, make_report, most_telling, percentile, read_export
from auction.demo.switch import Handled
from auction.demo.traffic import demo_calls

METRICS = """
# TYPE pingpost_calls counter
pingpost_calls_total{campaign="a",outcome="auction"} 2.0
pingpost_calls_total{campaign="a",outcome="static"} 0.0
pingpost_calls_total{campaign="a",outcome="no_route"} 1.0
# TYPE pingpost_pings counter
pingpost_pings_total{offer="acme",outcome="bid"} 2.0
pingpost_pings_total{offer="acme",outcome="timeout"} 1.0
pingpost_pings_total{offer="acme",outcome="malformed_reply"} 0.0
pingpost_pings_total{offer="beacon",outcome="malformed_reply"} 3.0
# TYPE pingpost_bids counter
pingpost_bids_total{offer="acme"} 2.0
# TYPE pingpost_posts counter
pingpost_posts_total{offer="acme",outcome="accepted"} 2.0
pingpost_posts_total{offer="acme",outcome="unknown"} 1.0
# TYPE pingpost_revenue counter
pingpost_revenue_total{campaign="a",currency="USD"} 52.1
# TYPE pingpost_live_calls gauge
pingpost_live_calls{offer="acme"} 0.0
"""
CALLS = list(demo_calls(3, 1, 40))


def an_entry(offer: str, outcome: str, ms: float | None, bid: str | None = None) -> dict[str, Any]:
    return {"offer": offer, "outcome": outcome, "code": 1, "bid": bid, "ms": ms, "rank": None}


def an_attempt(attempt: int = 1, offer: str = "acme", routed_by: str = "auction") -> dict[str, Any]:
    return {"attempt": attempt, "offer": offer, "routed_by": routed_by}


def an_entry_of(kind: str, amount: str, change: str, side: str = "buyer") -> dict[str, str]:
    return {"side": side, "kind": kind, "amount": amount, "change": change}


def a_record(revenue: str = "0.00", payout: str = "0.00", **cdr: Any) -> dict[str, Any]:
    values = {
        "routed_by": "auction",
        "offer": "acme",
        "currency": "USD",
        "answered_at": "2026-11-21T18:00:00.000Z",
        "converted": True,
        "attempts": [an_attempt()],
        **cdr,
    }
    offers = [an_entry("acme", "won", 20.0, "52.10"), an_entry("beacon", "malformed_reply", 30.0)]
    entries = [an_entry_of("booked", revenue, revenue)] if Decimal(revenue) else []
    return {
        "cdr": {**values, "revenue": revenue, "payout": payout},
        "trace": {"offers": offers},
        "conversions": entries,
    }


def no_route() -> dict[str, Any]:
    record = a_record(
        routed_by=None, offer=None, currency=None, answered_at=None, converted=False, attempts=[]
    )
    record["trace"]["offers"][0] = an_entry("acme", "timeout", None)
    return record


def handled() -> list[Handled]:
    decisions = [("auction", 100.0), ("auction", 200.0), (None, 300.0)]
    return [
        Handled(call, {"routed_by": routed_by, "elapsed_ms": ms})
        for call, (routed_by, ms) in zip(CALLS, decisions, strict=True)
    ]


EXPORT = [
    {"revenue": "52.10", "payout": "30.00"},
    {"revenue": "0.00", "payout": "0.00"},
    {"revenue": "0.00", "payout": ""},
]
RECORDS = [
    a_record("52.10", "30.00"),
    a_record("0.00", answered_at=None, converted=False),
    no_route(),
]


def buyers(**counts: int) -> dict[str, dict[str, int]]:
    none = {"accepted": 2, "pings": 6, "plain_caller_ids": 0, "auth_failures": 0}
    return {"acme": {**none, **counts}}


def report(**counts: int) -> Any:
    return make_report(handled(), RECORDS, EXPORT, Scrape(METRICS), buyers(**counts))


def test_calls_are_told_by_outcome() -> None:
    auction, static, no_route_row = report().outcomes
    assert (auction.calls, auction.answered, auction.converted) == (2, 1, 1)
    assert (auction.payout, auction.margin) == (Decimal("30.00"), Decimal("22.10"))
    assert (auction.revenue, auction.p50_ms, auction.p99_ms) == (Decimal("52.10"), 100.0, 200.0)
    assert (static.calls, static.p50_ms) == (0, None)
    assert (no_route_row.calls, no_route_row.p99_ms) == (1, 300.0)


def test_offers_are_told_one_by_one() -> None:
    acme, beacon = report().offers
    assert (acme.pings, acme.bids, acme.timeouts, acme.failed) == (3, 2, 1, 0)
    assert (acme.wins, acme.accepted_posts, acme.static) == (2, 2, 0)
    assert (acme.revenue, acme.p50_ms) == (Decimal("52.10"), 20.0)
    assert (beacon.pings, beacon.failed, beacon.wins, beacon.p99_ms) == (3, 3, 0, 30.0)


def test_figures_of_both_sides_that_agree_are_sound() -> None:
    assert report().sound
    assert report(accepted=3).sound, "the post without an answer may have been accepted"


@pytest.mark.parametrize(
    ("counts", "word"),
    [
        ({"accepted": 1}, "posts accepted"),
        ({"accepted": 4}, "posts accepted"),
        ({"plain_caller_ids": 1}, "with a caller's number"),
        ({"auth_failures": 1}, "wrong credentials"),
    ],
)
def test_buyers_that_tell_otherwise_are_noticed(counts: dict[str, int], word: str) -> None:
    (broken,) = [check for check in report(**counts).checks if not check.holds]
    assert word in broken.text


@pytest.mark.parametrize(
    ("line", "other", "word"),
    [
        ('outcome="auction"} 2.0', 'outcome="auction"} 3.0', "3 calls asked"),
        ("} 52.1", "} 52.2", "revenue"),
        ('pingpost_live_calls{offer="acme"} 0.0', 'pingpost_live_calls{offer="acme"} 1.0', "line"),
    ],
)
def test_metrics_that_tell_otherwise_are_noticed(line: str, other: str, word: str) -> None:
    scrape = Scrape(METRICS.replace(line, other, 1))
    made = make_report(handled(), RECORDS, EXPORT, scrape, buyers())
    (broken,) = [check for check in made.checks if not check.holds]
    assert word in broken.text


def test_an_export_that_tells_otherwise_is_noticed() -> None:
    for column in ("revenue", "payout"):
        export = [{**EXPORT[0], column: "1.00"}, *EXPORT[1:]]
        made = make_report(handled(), RECORDS, export, Scrape(METRICS), buyers())
        (broken,) = [check for check in made.checks if not check.holds]
        assert "exported" in broken.text
    assert not make_report(handled(), RECORDS, EXPORT[:2], Scrape(METRICS), buyers()).sound


def test_what_buyers_change_afterwards_is_told_apart_from_what_was_booked() -> None:
    amended = a_record("40.00", "30.00")
    amended["conversions"] = [
        an_entry_of("booked", "52.10", "52.10"),
        an_entry_of("amended", "40.00", "-12.10"),
        an_entry_of("booked", "30.00", "30.00", side="source"),
    ]
    export = [{"revenue": "40.00", "payout": "30.00"}, *EXPORT[1:]]
    made = make_report(handled(), [amended, *RECORDS[1:]], export, Scrape(METRICS), buyers())
    assert made.sound
    assert any("changed -12.10 afterwards, 40.00 is left" in check.text for check in made.checks)


def test_an_export_is_read_by_its_columns() -> None:
    assert read_export("revenue,payout\r\n1.00,\r\n") == [{"revenue": "1.00", "payout": ""}]


def test_a_call_without_a_decision_is_noticed() -> None:
    cut_off = [*handled()[:2], Handled(CALLS[2], None, "TimeoutError: ")]
    made = make_report(cut_off, RECORDS[:2], EXPORT[:2], Scrape(METRICS), buyers())
    assert not made.sound


def test_percentiles_are_by_nearest_rank() -> None:
    values = [float(number) for number in range(1, 101)]
    assert (percentile(values, 50), percentile(values, 99)) == (50.0, 99.0)
    assert (percentile([5.0], 99), percentile([], 50)) == (5.0, None)


def test_the_example_is_the_auctioned_and_paid_call_with_most_outcomes() -> None:
    dull = a_record()
    dull["trace"]["offers"].pop()
    rich = a_record()
    rich["trace"]["offers"].append(an_entry("cobalt", "outbid", 1.0, "2.00"))
    static = a_record(routed_by="static")
    static["trace"]["offers"] += [an_entry(str(n), f"outcome {n}", None) for n in range(9)]
    unpaid = a_record(converted=False)
    unpaid["trace"]["offers"] = static["trace"]["offers"]
    assert most_telling([dull, rich, static, unpaid]) is rich
    assert most_telling([]) is None
