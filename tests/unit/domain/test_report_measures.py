from decimal import Decimal

from auction.domain.log_bins import bin_of
from auction.domain.report_figures import Figures
from auction.domain.report_measures import accounted, by_fixed_terms, mean_bid, measures, trend

BUSY = Figures(
    calls=12,
    unrouted=2,
    eligible=11,
    pinged=10,
    bids=6,
    no_bids=1,
    timeouts=2,
    errors=1,
    auction_wins=3,
    static_wins=1,
    posts_accepted=3,
    posts_rejected=1,
    answered=2,
    converted=1,
    bid_total=Decimal(310),
    revenue=Decimal("52.00"),
    payout=Decimal("20.0000"),
    bid_sizes={bin_of(500_000): 5, bin_of(600_000): 1},
    ping_times={bin_of(20_000): 9, bin_of(500_000): 1},
)


def test_rates_are_shares_of_what_they_name() -> None:
    told = measures(BUSY)
    rates = ("bid_rate", "timeout_rate", "error_rate", "win_rate", "accept_rate", "answer_rate")
    assert [told[name] for name in rates] == [0.6, 0.2, 0.1, 0.5, 0.75, 0.5]
    assert (told["conversion_rate"], told["won"], told["margin"]) == (0.25, 4, Decimal("32.00"))
    assert told["average_bid"] == Decimal("51.6667")


def test_every_call_is_eligible_or_has_a_reason_or_was_refused_by_fixed_terms() -> None:
    looked_at = Figures(eligible=11, reasons={206: 2, 208: 1, 0: 5, 502: 1})
    assert looked_at.looked_at == 14
    assert accounted(looked_at, 20) == 20
    assert by_fixed_terms(looked_at, 20) == 6
    assert measures(looked_at, 20)["eligible_rate"] == 0.55


def test_fewer_calls_than_were_looked_at_are_not_all_there_were() -> None:
    looked_at = Figures(eligible=11, reasons={206: 2})
    assert accounted(looked_at, 13) == 13
    assert accounted(looked_at, 12) is None
    assert accounted(looked_at, None) is None
    assert by_fixed_terms(looked_at, None) == 0
    told = measures(looked_at, None)
    assert (told["offer_calls"], told["eligible_rate"]) == (None, None)


def test_percentiles_are_within_one_percent() -> None:
    told = measures(BUSY)
    p50, p90 = told["p50_bid"], told["p90_bid"]
    assert isinstance(p50, Decimal)
    assert abs(p50 - 50) <= Decimal("0.5")
    assert isinstance(p90, Decimal)
    assert abs(p90 - 60) <= Decimal("0.6")
    assert isinstance(told["ping_p50_ms"], float)
    assert abs(told["ping_p50_ms"] - 20) <= 0.2
    assert isinstance(told["ping_p99_ms"], float)
    assert abs(told["ping_p99_ms"] - 500) <= 5


def test_nothing_is_no_rate() -> None:
    told = measures(Figures())
    empty = ("bid_rate", "answer_rate", "average_bid", "p50_bid", "ping_p99_ms")
    assert [told[name] for name in empty] == [None] * 5
    assert (told["revenue"], told["calls"]) == (0, 0)
    assert mean_bid(Decimal(0), 0) is None


def test_a_trend_is_growth_over_the_period_before() -> None:
    assert trend(5, 4) == 0.25
    assert trend(Decimal("26.00"), Decimal("52.00")) == -0.5
    assert trend(0.3, 0.6) == -0.5
    assert trend(5, 0) is None
    assert trend(None, 4) is None
    assert trend(4, None) is None
