"""When a call becomes payable, and for how much."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from auction.domain.conversions import (
    Booked,
    CallFacts,
    Conversion,
    PastConversion,
    Side,
    buyer_conversion,
    payable_rules,
    repeated_for_buyer,
    repeated_for_source,
)
from auction.domain.ids import CallId, CampaignId, OfferId, SourceId
from auction.domain.terms import BuyerType, ConversionRule, Trigger
from tests.builders import CAMPAIGN, NOON, an_offer

PRICE = Decimal("52.00")
ROUTED = CallFacts()
ANSWERED = CallFacts(answered=True)
UNANSWERED = CallFacts(ended=True)


def ended(connected: str) -> CallFacts:
    """An answered call that is over."""
    return CallFacts(answered=True, ended=True, connected_s=Decimal(connected))


def rule(trigger: Trigger, connected_s: int = 0, amount: str | None = None) -> ConversionRule:
    """A rule; without an amount it gives the price."""
    return ConversionRule(trigger, connected_s, None if amount is None else Decimal(amount))


ON_ANSWER = rule(Trigger.ANSWERED)
AT_90 = rule(Trigger.TIMER, 90)
ON_ATTEMPT = rule(Trigger.ATTEMPT)
ON_POSTBACK = rule(Trigger.POSTBACK)


@pytest.mark.parametrize(
    ("only", "facts", "converts"),
    [
        (ON_ANSWER, ROUTED, False),
        (ON_ANSWER, ANSWERED, True),
        (ON_ANSWER, UNANSWERED, False),
        (ON_ANSWER, ended("0"), True),
        (AT_90, ANSWERED, False),
        (AT_90, UNANSWERED, False),
        (AT_90, ended("89.6"), False),
        (AT_90, ended("89.999"), False),
        (AT_90, ended("90"), True),
        (AT_90, ended("90.001"), True),
        (rule(Trigger.TIMER), UNANSWERED, False),
        (rule(Trigger.TIMER), ended("0"), True),
        (ON_ATTEMPT, ROUTED, True),
        (ON_ATTEMPT, UNANSWERED, True),
        (ON_POSTBACK, ROUTED, False),
        (ON_POSTBACK, ended("600"), False),
        (ON_POSTBACK, CallFacts(reported=True), True),
    ],
)
def test_a_rule_converts_when_its_trigger_is_met(
    only: ConversionRule, facts: CallFacts, *, converts: bool
) -> None:
    expected = Conversion(only.trigger, PRICE) if converts else None
    assert buyer_conversion([only], PRICE, facts) == expected


def test_a_rule_with_an_amount_gives_that_and_not_the_price() -> None:
    rules = [rule(Trigger.TIMER, 90, "10.00")]
    assert buyer_conversion(rules, PRICE, ended("90")) == Conversion(Trigger.TIMER, Decimal(10))


@pytest.mark.parametrize(
    ("connected", "amount"), [("300", "80.00"), ("120", "52.00"), ("60", "5.00")]
)
def test_the_first_rule_that_matches_wins(connected: str, amount: str) -> None:
    rules = [rule(Trigger.TIMER, 240, "80.00"), AT_90, rule(Trigger.ANSWERED, amount="5.00")]
    conversion = buyer_conversion(rules, PRICE, ended(connected))
    assert conversion is not None
    assert conversion.amount == Decimal(amount)


def test_a_rule_waits_while_one_before_it_may_still_match() -> None:
    rules = [AT_90, rule(Trigger.ANSWERED, amount="5.00")]
    assert buyer_conversion(rules, PRICE, ANSWERED) is None
    lost = CallFacts(answered=True, ended=True)
    assert buyer_conversion(rules, PRICE, lost) == Conversion(Trigger.ANSWERED, Decimal(5))


def test_a_rule_does_not_wait_for_those_behind_it() -> None:
    rules = [rule(Trigger.ANSWERED, amount="5.00"), AT_90]
    assert buyer_conversion(rules, PRICE, ANSWERED) == Conversion(Trigger.ANSWERED, Decimal(5))


def test_an_attempt_converts_at_routing_wherever_its_rule_stands() -> None:
    rules = [AT_90, rule(Trigger.ATTEMPT, amount="2.00")]
    assert buyer_conversion(rules, PRICE, ROUTED) == Conversion(Trigger.ATTEMPT, Decimal(2))


def test_a_postback_rule_leaves_events_to_the_others() -> None:
    rules = [ON_POSTBACK, ON_ANSWER]
    assert buyer_conversion(rules, PRICE, ANSWERED) == Conversion(Trigger.ANSWERED, PRICE)


def test_without_rules_nothing_converts() -> None:
    assert buyer_conversion([], PRICE, ended("600")) is None


def test_a_buyer_that_is_not_billed_has_no_rules_that_pay() -> None:
    assert payable_rules(an_offer(conversions=(AT_90,))) == (AT_90,)
    unbilled = an_offer(conversions=(AT_90,), buyer_type=BuyerType.QUALITY_ASSURANCE)
    assert payable_rules(unbilled) == ()


OFFER, OTHER_OFFER = OfferId("acme-auto"), OfferId("acme-home")
SOURCE, OTHER_SOURCE = SourceId("pub-17"), SourceId("pub-18")
HERE, BEFORE = CallId("here"), CallId("before")


def past(days: float = 1.0, **changes: Any) -> PastConversion:
    """An earlier call of the caller of which both sides converted so many days before noon."""
    at = NOON - timedelta(days=days)
    values: dict[str, Any] = {
        "call_id": BEFORE,
        "offer": OFFER,
        "campaign": CAMPAIGN,
        "source": SOURCE,
        "converted_at": at,
        "paid_at": at,
        **changes,
    }
    return PastConversion(**values)


@pytest.mark.parametrize(
    ("before", "repeated"),
    [
        (past(30), True),
        (past(30.001), False),
        (past(-30), True),
        (past(-30.001), False),
        (past(0), True),
        (past(call_id=HERE), False),
        (past(offer=OTHER_OFFER), False),
        (past(converted_at=None), False),
        (past(campaign=CampaignId("other"), source=OTHER_SOURCE, paid_at=None), True),
    ],
)
def test_a_buyers_conversion_repeats_one_of_the_same_offer(
    before: PastConversion, *, repeated: bool
) -> None:
    assert repeated_for_buyer([before], HERE, OFFER, NOON)(30) is repeated


@pytest.mark.parametrize(
    ("before", "repeated"),
    [
        (past(30), True),
        (past(30.001), False),
        (past(call_id=HERE), False),
        (past(campaign=CampaignId("other")), False),
        (past(source=OTHER_SOURCE), False),
        (past(source=None), False),
        (past(paid_at=None), False),
        (past(offer=OTHER_OFFER, converted_at=None), True),
    ],
)
def test_a_payout_repeats_one_of_the_same_campaign_and_source(
    before: PastConversion, *, repeated: bool
) -> None:
    assert repeated_for_source([before], HERE, CAMPAIGN, SOURCE, NOON)(30) is repeated


def test_one_conversion_of_many_is_enough_to_repeat() -> None:
    assert repeated_for_buyer([past(90), past(3)], HERE, OFFER, NOON)(7)
    assert not repeated_for_buyer([], HERE, OFFER, NOON)(7)


def test_a_rule_that_finds_the_caller_is_passed_over() -> None:
    rules = [
        ConversionRule(Trigger.TIMER, 90, dedupe_days=30),
        ConversionRule(Trigger.ANSWERED, amount=Decimal(5), dedupe_days=7),
        rule(Trigger.ANSWERED, amount="1.00"),
    ]
    repeated = repeated_for_buyer([past(10)], HERE, OFFER, NOON)
    assert buyer_conversion(rules, PRICE, ANSWERED) is None
    cheap = Conversion(Trigger.ANSWERED, Decimal(5))
    assert buyer_conversion(rules, PRICE, ANSWERED, repeated) == cheap
    assert buyer_conversion(rules, PRICE, ended("600"), repeated) == cheap
    sooner = repeated_for_buyer([past(5)], HERE, OFFER, NOON)
    assert buyer_conversion(rules, PRICE, ANSWERED, sooner) == Conversion(
        Trigger.ANSWERED, Decimal(1)
    )


def test_an_attempt_that_is_repeated_converts_at_no_later_time() -> None:
    rules = [ConversionRule(Trigger.ATTEMPT, dedupe_days=30)]
    assert buyer_conversion(rules, PRICE, ROUTED) == Conversion(Trigger.ATTEMPT, PRICE)
    assert buyer_conversion(rules, PRICE, ended("600"), lambda days: days == 30) is None


@pytest.mark.parametrize(
    ("withdrawn", "attempt", "opens"), [(False, 3, False), (True, 3, True), (True, 2, False)]
)
def test_where_a_conversion_was_withdrawn_another_attempt_may_convert(
    *, withdrawn: bool, attempt: int, opens: bool
) -> None:
    side = Booked(Side.BUYER, 2, Trigger.ANSWERED, PRICE, withdrawn, undone=frozenset({1}))
    assert side.open_to(attempt) is opens
    assert not side.open_to(1)
