"""Which offers may be asked for a call, and the one reason when one may not."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from auction.domain.eligibility import Refusal, fixed_refusal, hold_units
from auction.domain.filters import Op, prepare
from auction.domain.hours import Hours, parse_weekly
from auction.domain.ids import SourceId
from auction.domain.reasons import Reason
from auction.domain.terms import (
    BuyerType,
    ConversionRule,
    Segment,
    Trigger,
)
from auction.domain.validation import Validation, ValueType
from tests.builders import NEW_YORK, a_call, a_static_offer, an_offer

CLOSED = Hours(NEW_YORK, parse_weekly({"mon": ["08:00-09:00"]}))
HOLIDAY = Hours(NEW_YORK, closed_dates=frozenset({date(2026, 11, 20)}))
OTHER_VERTICAL = prepare("vertical", Op.EQ, "home_insurance")

EVERYONE = Segment("everyone", (prepare("vertical", Op.EXISTS, value=True),))
ELSEWHERE = Segment("elsewhere", (OTHER_VERTICAL,))

GATES: list[tuple[dict[str, Any], Refusal]] = [
    ({"enabled": False}, Refusal(Reason.PAUSED)),
    ({"buyer_enabled": False}, Refusal(Reason.PAUSED, "buyer")),
    ({"ping_post": None}, Refusal(Reason.NOT_FOR_SALE)),
    ({"blocked_sources": frozenset({SourceId("pub-17")})}, Refusal(Reason.SOURCE_BLOCKED)),
    ({"hours": CLOSED}, Refusal(Reason.CLOSED)),
    ({"required_fields": ("zip_code", "age")}, Refusal(Reason.MISSING_FIELD, "age")),
    ({"filters": (OTHER_VERTICAL,)}, Refusal(Reason.FILTERED, "vertical")),
    ({"outside": (ELSEWHERE, EVERYONE)}, Refusal(Reason.OUTSIDE_SEGMENT, "everyone")),
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
        outside=(ELSEWHERE,),
        requirements=(Validation("vertical", ValueType.STRING),),
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
