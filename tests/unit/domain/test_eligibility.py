"""Which offers may be asked for a call, and the one reason when one may not."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from auction.domain.decision import PastCall
from auction.domain.eligibility import (
    Refusal,
    current_refusal,
    describe,
    fixed_refusal,
    hold_units,
)
from auction.domain.filters import Op, prepare
from auction.domain.hours import Hours, parse_weekly
from auction.domain.ids import SourceId
from auction.domain.reasons import Reason
from auction.domain.terms import (
    BuyerType,
    Cap,
    ConversionRule,
    DuplicateAfter,
    DuplicateRule,
    DuplicateScope,
    Measure,
    OfferTerms,
    Period,
    Trigger,
)
from auction.domain.usage import Change, Usage, apply
from auction.domain.windows import window_starts
from tests.builders import NEW_YORK, NOON, a_call, a_static_offer, an_offer, ping_post

CLOSED = Hours(NEW_YORK, parse_weekly({"mon": ["08:00-09:00"]}))
HOLIDAY = Hours(NEW_YORK, closed_dates=frozenset({date(2026, 11, 20)}))
OTHER_VERTICAL = prepare("vertical", Op.EQ, "home_insurance")

GATES: list[tuple[dict[str, Any], Refusal]] = [
    ({"enabled": False}, Refusal(Reason.PAUSED)),
    ({"buyer_enabled": False}, Refusal(Reason.PAUSED, "buyer")),
    ({"ping_post": None}, Refusal(Reason.NOT_FOR_SALE)),
    ({"blocked_sources": frozenset({SourceId("pub-17")})}, Refusal(Reason.SOURCE_BLOCKED)),
    ({"hours": CLOSED}, Refusal(Reason.CLOSED)),
    ({"required_fields": ("zip_code", "age")}, Refusal(Reason.MISSING_FIELD, "age")),
    ({"filters": (OTHER_VERTICAL,)}, Refusal(Reason.FILTERED, "vertical")),
]


@pytest.mark.parametrize(("terms", "refusal"), GATES)
def test_each_gate_has_its_reason(terms: dict[str, Any], refusal: Refusal) -> None:
    assert fixed_refusal(a_call(), an_offer(**terms)) == refusal


@pytest.mark.parametrize("first", range(len(GATES)))
def test_the_first_gate_that_is_shut_gives_the_reason(first: int) -> None:
    terms: dict[str, Any] = {}
    for changes, _ in GATES[first:]:
        terms |= changes
    assert fixed_refusal(a_call(), an_offer(**terms)) == GATES[first][1]


def test_an_offer_with_open_gates_is_allowed() -> None:
    offer = an_offer(
        hours=Hours(NEW_YORK),
        blocked_sources=frozenset({SourceId("pub-99")}),
        required_fields=("vertical", "caller.state"),
        filters=(prepare("vertical", Op.EQ, "auto_insurance"),),
    )
    assert fixed_refusal(a_call(), offer) is None


def test_a_closed_date_is_a_holiday() -> None:
    assert fixed_refusal(a_call(), an_offer(hours=HOLIDAY)) == Refusal(Reason.HOLIDAY)


def test_a_call_without_a_source_is_blocked_nowhere() -> None:
    offer = an_offer(blocked_sources=frozenset({SourceId("pub-17")}))
    assert fixed_refusal(a_call(source=None), offer) is None


def test_a_blank_field_is_missing() -> None:
    call = a_call(fields={"zip_code": "  "})
    refusal = fixed_refusal(call, an_offer(required_fields=("zip_code",)))
    assert refusal == Refusal(Reason.MISSING_FIELD, "zip_code")


@pytest.mark.parametrize("buyer_type", [BuyerType.QUALITY_ASSURANCE, BuyerType.VOICE_BOT])
def test_an_offer_of_an_unbilled_buyer_is_routed_statically(buyer_type: BuyerType) -> None:
    assert fixed_refusal(a_call(), an_offer(buyer_type=buyer_type)) is None


def used(offer: OfferTerms, owner: int, *, calls: int = 0, live: int = 0) -> dict[Any, Usage]:
    """The usage after so many calls today, for the offer (0) or its buyer (1)."""
    limits = offer.limits[owner]
    starts = window_starts(NOON, limits.zone)
    return {limits.owner: apply(Usage(), starts, Change(live, used=(calls, 0, 0, 0)))}


FIVE_A_DAY = Cap(Measure.CALLS, Period.DAY, 5)


def test_an_offer_below_its_limits_is_allowed() -> None:
    offer = an_offer(caps=[FIVE_A_DAY], concurrency=3)
    assert current_refusal(a_call(), offer, (), {}) is None
    assert current_refusal(a_call(), offer, (), used(offer, 0, calls=4, live=2)) is None


@pytest.mark.parametrize(
    ("limits", "owner", "refusal"),
    [
        ({"caps": [FIVE_A_DAY]}, 0, Refusal(Reason.CAP_REACHED, "calls per day")),
        ({"buyer_caps": [FIVE_A_DAY]}, 1, Refusal(Reason.CAP_REACHED, "buyer calls per day")),
        ({"concurrency": 5}, 0, Refusal(Reason.CONCURRENCY_FULL, "concurrency")),
        ({"buyer_concurrency": 5}, 1, Refusal(Reason.CONCURRENCY_FULL, "buyer concurrency")),
    ],
)
def test_each_limit_has_its_reason(limits: dict[str, Any], owner: int, refusal: Refusal) -> None:
    offer = an_offer(**limits)
    usage = used(offer, owner, calls=5, live=5)
    assert current_refusal(a_call(), offer, (), usage) == refusal


def test_a_cap_comes_before_concurrency() -> None:
    offer = an_offer(buyer_caps=[FIVE_A_DAY], concurrency=1)
    usage = used(offer, 0, live=1) | used(offer, 1, calls=5)
    refusal = current_refusal(a_call(), offer, (), usage)
    assert refusal == Refusal(Reason.CAP_REACHED, "buyer calls per day")


def test_a_duplicate_comes_before_caps_and_counts_for_test_calls_too() -> None:
    rule = DuplicateRule(30, DuplicateAfter.ROUTED, DuplicateScope.BUYER)
    offer = an_offer(duplicates=rule, caps=[FIVE_A_DAY])
    past = PastCall(offer.id, offer.buyer, offer.campaign, NOON - timedelta(days=1))
    usage = used(offer, 0, calls=5)
    duplicate = Refusal(Reason.DUPLICATE_CALLER)
    assert current_refusal(a_call(), offer, (past,), usage) == duplicate
    assert current_refusal(a_call(test=True), offer, (past,), {}) == duplicate
    assert current_refusal(a_call(), offer, (), {}) is None


def test_a_test_call_uses_no_cap_and_no_concurrency() -> None:
    offer = an_offer(caps=[FIVE_A_DAY], concurrency=1)
    assert current_refusal(a_call(test=True), offer, (), used(offer, 0, calls=5, live=1)) is None


def test_the_cap_of_another_window_does_not_count() -> None:
    offer = an_offer(caps=[FIVE_A_DAY])
    tomorrow = a_call(received_at=NOON + timedelta(days=1))
    assert current_refusal(tomorrow, offer, (), used(offer, 0, calls=5)) is None


@pytest.mark.parametrize(
    ("terms", "limit", "allowed"),
    [
        ({"ping_post": ping_post("30.00")}, 300_000, True),
        ({"ping_post": ping_post("30.00")}, 299_999, False),
        ({"ping_post": ping_post("30.00", fixed_amount=Decimal(40))}, 399_999, False),
        ({"ping_post": ping_post("30.00"), "static_price": "18.00"}, 180_000, True),
        ({"ping_post": None, "static_price": "18.00"}, 179_999, False),
        ({"ping_post": None}, 0, True),
    ],
)
def test_a_revenue_cap_refuses_what_the_lowest_price_would_exceed(
    terms: dict[str, Any], limit: int, *, allowed: bool
) -> None:
    offer = an_offer(caps=[Cap(Measure.REVENUE, Period.MONTH, limit)], **terms)
    refusal = current_refusal(a_call(), offer, (), {})
    assert refusal == (None if allowed else Refusal(Reason.CAP_REACHED, "revenue per month"))


def test_a_limit_in_total_is_described_in_words() -> None:
    assert describe(Cap(Measure.ANSWERED, Period.TOTAL, 1)) == "answered in total"


def rules(*amounts: str | None) -> tuple[ConversionRule, ...]:
    """Timer rules with these amounts (None: the price)."""
    return tuple(
        ConversionRule(Trigger.TIMER, 90, None if amount is None else Decimal(amount))
        for amount in amounts
    )


@pytest.mark.parametrize(
    ("conversions", "revenue"),
    [
        (rules(None), 520_000),
        (rules("10.00"), 100_000),
        (rules("10.00", None, "60.00"), 600_000),
        (rules("10.00", None), 520_000),
    ],
)
def test_a_route_holds_the_largest_amount_that_a_rule_could_give(
    conversions: tuple[ConversionRule, ...], revenue: int
) -> None:
    offer = an_offer(conversions=conversions)
    assert hold_units(offer, Decimal("52.00")) == (1, 1, 1, revenue)


def test_a_route_that_no_rule_can_convert_holds_no_conversion() -> None:
    assert hold_units(an_offer(conversions=()), Decimal(52)) == (1, 1, 0, 0)


def test_an_unbilled_buyer_holds_no_conversion_and_no_revenue() -> None:
    offer = a_static_offer(buyer_type=BuyerType.VOICE_BOT, conversions=rules("10.00"))
    assert hold_units(offer, Decimal(0)) == (1, 1, 0, 0)
