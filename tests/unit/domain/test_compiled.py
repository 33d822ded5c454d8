"""Offers compiled for eligibility: what refuses a call now, and what equal terms share."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from auction.domain.call import Call, FieldValue
from auction.domain.call_view import CallView
from auction.domain.compiled import Compiler
from auction.domain.eligibility import Refusal
from auction.domain.filters import Op, matches, prepare
from auction.domain.hours import Hours, parse_weekly
from auction.domain.ids import OwnerId
from auction.domain.opening import PastCall
from auction.domain.reasons import Reason
from auction.domain.terms import (
    Cap,
    DuplicateAfter,
    DuplicateRule,
    DuplicateScope,
    Measure,
    OfferTerms,
    Period,
)
from auction.domain.usage import Change, Usage, apply
from auction.domain.windows import window_starts
from tests.builders import NEW_YORK, NOON, a_call, an_offer, ping_post


def current_refusal(
    call: Call, offer: OfferTerms, past_calls: Sequence[PastCall], usage: Mapping[OwnerId, Usage]
) -> Refusal | None:
    return Compiler().compile(offer).current_refusal(CallView(call), past_calls, usage)


def used(offer: OfferTerms, owner: int, *, calls: int = 0, live: int = 0) -> dict[Any, Usage]:
    """The usage after so many calls today, for the offer (0) or its buyer (1)."""
    limits = offer.limits[owner]
    starts = window_starts(NOON, limits.zone)
    return {limits.owner: apply(Usage(), starts, Change(live, used=(calls, 0, 0, 0)))}


FIVE_A_DAY = Cap(Measure.CALLS, Period.DAY, 5)
FIVE_IN_TOTAL = Cap(Measure.CALLS, Period.TOTAL, 5)


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
        ({"caps": [FIVE_IN_TOTAL]}, 0, Refusal(Reason.CAP_REACHED, "calls in total")),
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


def test_the_offers_own_concurrency_comes_before_that_of_its_buyer() -> None:
    offer = an_offer(concurrency=1, buyer_concurrency=1)
    usage = used(offer, 0, live=1) | used(offer, 1, live=1)
    refusal = current_refusal(a_call(), offer, (), usage)
    assert refusal == Refusal(Reason.CONCURRENCY_FULL, "concurrency")


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


@pytest.mark.parametrize("number", range(3, 8))
@pytest.mark.parametrize(
    ("op", "value"),
    [(Op.LT, 5), (Op.LTE, 5), (Op.GT, 5), (Op.GTE, 5), (Op.BETWEEN, [4, 6])],
)
def test_a_compiled_ordering_has_the_same_bounds(op: Op, value: object, number: int) -> None:
    condition, call = prepare("age", op, value), a_call(fields={"age": number})
    offer = Compiler().compile(an_offer(filters=(condition,)))
    assert (offer.fixed_refusal(CallView(call)) is None) is matches(condition, call)


@pytest.mark.parametrize("value", [None, "", "90210", " 90210 ", "90001", "1", 90210])
@pytest.mark.parametrize(
    ("op", "operand"),
    [
        (Op.EQ, "90210"),
        (Op.NE, "90210"),
        (Op.IN, ["90210", "1"]),
        (Op.NOT_IN, ["90210", "1"]),
        (Op.PREFIX, "902"),
        (Op.EXISTS, True),
        (Op.EXISTS, False),
    ],
)
def test_a_compiled_comparison_of_texts_lets_the_same_through(
    op: Op, operand: object, value: FieldValue | None
) -> None:
    condition = prepare("zip_code", op, operand)
    call = a_call(fields={} if value is None else {"zip_code": value})
    offer = Compiler().compile(an_offer(filters=(condition,)))
    assert (offer.fixed_refusal(CallView(call)) is None) is matches(condition, call)


def test_offers_with_equal_terms_share_what_is_compiled_of_them() -> None:
    def terms() -> dict[str, Any]:
        return {
            "hours": Hours(NEW_YORK, parse_weekly({"mon-fri": ["08:00-18:00"]})),
            "required_fields": ("zip_code",),
            "filters": (prepare("vertical", Op.IN, ["auto_insurance", "home_insurance"]),),
            "caps": [FIVE_A_DAY],
        }

    compiler = Compiler()
    one = compiler.compile(an_offer("acme-auto", **terms()))
    other = compiler.compile(an_offer("beacon-auto", **terms()))
    assert one.checks is other.checks
    assert one.opening is other.opening
    assert one.units is other.units


def test_one_offer_asked_again_and_again_says_what_a_fresh_one_says() -> None:
    offer = an_offer(caps=[FIVE_A_DAY], buyer_caps=[FIVE_A_DAY], concurrency=2, buyer_concurrency=2)
    lasting = Compiler().compile(offer)
    days = [a_call(), a_call(received_at=NOON + timedelta(days=1))]
    levels: list[dict[Any, Usage]] = [
        {},
        *(used(offer, owner, calls=5) for owner in (0, 1)),
        *(used(offer, owner, live=2) for owner in (0, 1)),
    ]
    asked = [(call, level) for call in days for level in levels]
    for before in asked:
        for after in asked:
            for call, usage in (before, after):
                said = lasting.current_refusal(CallView(call), (), usage)
                assert said == current_refusal(call, offer, (), usage)


@pytest.mark.parametrize("turning", [0, 1], ids=["offer", "buyer"])
def test_windows_of_the_offer_and_of_its_buyer_turn_each_by_itself(turning: int) -> None:
    an_hour = Cap(Measure.CALLS, Period.HOUR, 5)
    of_offer, of_buyer = an_offer(caps=[an_hour], buyer_caps=[an_hour]).limits
    # Hours begin at the half hour there.
    zones = [NEW_YORK, NEW_YORK]
    zones[turning] = ZoneInfo("Asia/Kolkata")
    limits = (replace(of_offer, zone=zones[0]), replace(of_buyer, zone=zones[1]))
    offer = replace(an_offer(), limits=limits)
    lasting = Compiler().compile(offer)
    usage = used(offer, turning, calls=5)
    for quarters in range(12):
        call = a_call(received_at=NOON + timedelta(minutes=15 * quarters))
        said = lasting.current_refusal(CallView(call), (), usage)
        assert said == current_refusal(call, offer, (), usage)
