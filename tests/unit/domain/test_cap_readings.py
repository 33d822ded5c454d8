from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest

from auction.domain.cap_readings import (
    Level,
    LimitOwner,
    cap_readings,
    concurrency_readings,
)
from auction.domain.ids import OfferId, buyer_owner, offer_owner
from auction.domain.offer_page import OfferTotals
from auction.domain.terms import Cap, Measure, Period
from auction.domain.usage import PeriodUsage, Usage, WindowCount
from auction.domain.windows import window_starts
from tests.builders import NEW_YORK, NOON, an_offer

DAILY = Cap(Measure.CALLS, Period.DAY, 10)
TOTAL = Cap(Measure.REVENUE, Period.TOTAL, 0)
OFFER = an_offer(caps=[DAILY, TOTAL], buyer_caps=[DAILY], buyer_concurrency=4)
OWNER = offer_owner(OfferId(OFFER.id))
EMPTY = PeriodUsage(WindowCount(0), WindowCount(0))


def used(start: int, calls: int, pending: int) -> Usage:
    window = WindowCount(start, (calls, 0, 0, 0), (pending, 0, 0, 0))
    return Usage(3, (EMPTY, PeriodUsage(window, WindowCount(0)), EMPTY, EMPTY))


@pytest.mark.parametrize(
    ("taken", "level"),
    [(0, "green"), (6999, "green"), (7000, "yellow"), (8999, "yellow"), (9000, "red")],
)
def test_bars_are_yellow_from_70_and_red_from_90_percent(taken: int, level: str) -> None:
    assert Level.of(Fraction(taken, 10_000)).value == level


def test_what_is_pending_counts_against_the_limit() -> None:
    today = window_starts(NOON, NEW_YORK)[Period.DAY]
    own, total, buyers = cap_readings(OFFER, {OWNER: used(today, 4, 2)}, NOON)
    assert (own.owner, own.used, own.pending, own.ratio) == (
        *(LimitOwner.OFFER, 4, 2),
        Fraction(6, 10),
    )
    assert own.resets_at == datetime(2026, 11, 21, 5, tzinfo=UTC)
    assert (total.ratio, total.resets_at) == (Fraction(1), None)
    assert (buyers.owner, buyers.used, buyers.ratio) == (LimitOwner.BUYER, 0, Fraction(0))


def test_windows_that_are_over_count_no_more() -> None:
    today = window_starts(NOON, NEW_YORK)[Period.DAY]
    yesterday = {OWNER: used(today - 86_400, 4, 2)}
    assert cap_readings(OFFER, yesterday, NOON)[0].used == 0
    tomorrow = {OWNER: used(today + 86_400, 4, 2)}
    assert cap_readings(OFFER, tomorrow, NOON)[0].used == 0


def test_live_calls_are_told_with_their_limits() -> None:
    usage = {OWNER: Usage(3), buyer_owner(OFFER.buyer): Usage(3)}
    own, buyers = concurrency_readings(OFFER, usage)
    assert (own.live, own.limit, own.ratio) == (3, None, None)
    assert (buyers.live, buyers.limit, buyers.ratio) == (3, 4, Fraction(3, 4))
    assert len(concurrency_readings(an_offer(concurrency=2), {})) == 1


def test_the_average_bid_is_the_mean_of_the_months_valid_bids() -> None:
    totals = OfferTotals(1, 1, 1, 1, Decimal(52), 3, Decimal(100))
    assert totals.average_bid == Decimal("33.3333")
    assert OfferTotals(1, 1, 1, 1, Decimal(52), 0, Decimal(0)).average_bid is None
