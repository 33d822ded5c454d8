"""When a source earns, and what becomes of that when the buyer's side changes."""

from decimal import Decimal

import pytest

from auction.domain.conversions import Booked, CallFacts, EntryKind, Side
from auction.domain.ids import SourceId
from auction.domain.payouts import PayoutChange, payable_payouts, payout_change, share
from auction.domain.terms import PayoutRule, Trigger

HERS, HIS = SourceId("pub-17"), SourceId("pub-18")
ANSWERED = CallFacts(answered=True)
REPORTED = CallFacts(answered=True, ended=True, connected_s=Decimal(60), reported=True)
BOOKED, AMENDED, WITHDRAWN = EntryKind.BOOKED, EntryKind.AMENDED, EntryKind.WITHDRAWN


def ended(connected: str) -> CallFacts:
    """An answered call that is over."""
    return CallFacts(answered=True, ended=True, connected_s=Decimal(connected))


def fixed(
    amount: str,
    trigger: Trigger = Trigger.ANSWERED,
    connected_s: int = 0,
    dedupe_days: int | None = None,
) -> PayoutRule:
    """A rule of every source for an amount."""
    return PayoutRule(None, trigger, connected_s, amount=Decimal(amount), dedupe_days=dedupe_days)


def percent(number: str, trigger: Trigger = Trigger.ANSWERED) -> PayoutRule:
    """A rule of every source for so much of the revenue."""
    return PayoutRule(None, trigger, percent=Decimal(number))


def revenue(amount: str, *, withdrawn: bool = False) -> dict[Side, Booked]:
    """What the buyer's side comes to."""
    return {Side.BUYER: Booked(Side.BUYER, 1, Trigger.TIMER, Decimal(amount), withdrawn)}


def payout(
    amount: str,
    trigger: Trigger = Trigger.ANSWERED,
    number: str | None = None,
    *,
    withdrawn: bool = False,
) -> dict[Side, Booked]:
    """What the source's side comes to."""
    share_of = None if number is None else Decimal(number)
    return {Side.SOURCE: Booked(Side.SOURCE, 1, trigger, Decimal(amount), withdrawn, share_of)}


def test_a_source_earns_by_its_rules_and_those_of_every_source_in_their_order() -> None:
    rules = (
        PayoutRule(HIS, Trigger.ANSWERED, amount=Decimal(1)),
        PayoutRule(HERS, Trigger.ANSWERED, amount=Decimal(2)),
        fixed("3"),
    )
    assert payable_payouts(rules, HERS) == rules[1:]
    assert payable_payouts(rules, HIS) == (rules[0], rules[2])
    assert payable_payouts(rules, SourceId("else")) == (rules[2],)
    assert payable_payouts(rules, None) == ()


@pytest.mark.parametrize(
    ("amount", "number", "expected"),
    [
        ("52.00", "25", "13.0000"),
        ("33.33", "33.3333", "11.1099"),
        ("0.0001", "99.9999", "0.0000"),
        ("0.0333", "50", "0.0166"),
        ("10000", "100", "10000.0000"),
    ],
)
def test_a_percentage_is_cut_after_four_decimals(amount: str, number: str, expected: str) -> None:
    assert str(share(Decimal(amount), Decimal(number))) == expected


def test_a_fixed_payout_is_booked_whatever_the_buyer_pays() -> None:
    rules = [fixed("8.00", Trigger.TIMER, 30)]
    expected = PayoutChange(BOOKED, Trigger.TIMER, Decimal("8.00"))
    assert payout_change(rules, ended("29.999"), {}) is None
    assert payout_change(rules, ended("30"), {}) == expected
    assert payout_change(rules, ended("30"), revenue("52.00")) == expected


def test_a_percentage_is_booked_once_the_buyers_side_stands() -> None:
    rules = [percent("25"), fixed("1.00")]
    assert payout_change(rules, ANSWERED, {}) is None
    assert payout_change(rules, ANSWERED, revenue("0", withdrawn=True)) is None
    expected = PayoutChange(BOOKED, Trigger.ANSWERED, Decimal(13), Decimal(25))
    assert payout_change(rules, ANSWERED, revenue("52.00")) == expected


def test_the_first_payout_that_matches_wins_and_a_timer_is_waited_for() -> None:
    rules = [fixed("9.00", Trigger.TIMER, 90), fixed("2.00")]
    assert payout_change(rules, ANSWERED, {}) is None
    assert payout_change(rules, ended("89.6"), {}) == PayoutChange(
        BOOKED, Trigger.ANSWERED, Decimal(2)
    )
    assert payout_change(rules, ended("90"), {}) == PayoutChange(BOOKED, Trigger.TIMER, Decimal(9))


def test_a_repeated_caller_earns_by_the_next_rule() -> None:
    rules = [fixed("9.00", dedupe_days=30), fixed("2.00")]
    change = payout_change(rules, ANSWERED, {}, lambda days: days == 30)
    assert change == PayoutChange(BOOKED, Trigger.ANSWERED, Decimal(2))


def test_a_payout_on_a_postback_waits_for_the_buyers_report() -> None:
    rules = [fixed("7.00", Trigger.POSTBACK)]
    assert payout_change(rules, ended("600"), revenue("52.00")) is None
    assert payout_change(rules, REPORTED, revenue("52.00")) == PayoutChange(
        BOOKED, Trigger.POSTBACK, Decimal(7)
    )


def test_without_rules_no_source_earns() -> None:
    assert payout_change([], REPORTED, revenue("52.00")) is None


def test_a_percentage_follows_the_revenue() -> None:
    stands = payout("13.00", number="25")
    assert payout_change([], ANSWERED, revenue("52.00") | stands) is None
    assert payout_change([], ANSWERED, revenue("60.01") | stands) == PayoutChange(
        AMENDED, Trigger.ANSWERED, Decimal("15.0025"), Decimal(25)
    )


def test_a_percentage_goes_with_the_buyers_side() -> None:
    booked = revenue("0", withdrawn=True) | payout("13.00", number="25")
    assert payout_change([percent("25")], ANSWERED, booked) == PayoutChange(
        WITHDRAWN, Trigger.ANSWERED, Decimal(0), Decimal(25)
    )


def test_a_payout_on_a_postback_goes_with_the_buyers_side() -> None:
    booked = revenue("0", withdrawn=True) | payout("7.00", Trigger.POSTBACK)
    assert payout_change([], ANSWERED, booked) == PayoutChange(
        WITHDRAWN, Trigger.POSTBACK, Decimal(0)
    )


@pytest.mark.parametrize("buyer", [{}, revenue("52.00"), revenue("0", withdrawn=True)])
def test_a_fixed_payout_stays_whatever_becomes_of_the_buyers_side(
    buyer: dict[Side, Booked],
) -> None:
    assert payout_change([fixed("8.00")], REPORTED, buyer | payout("8.00")) is None


def test_what_was_withdrawn_comes_back_only_by_a_report_of_the_buyer() -> None:
    rules = [percent("25")]
    gone = revenue("40.00") | payout("0", number="25", withdrawn=True)
    assert payout_change(rules, REPORTED, gone) is None
    assert payout_change(rules, REPORTED, gone, restores=True) == PayoutChange(
        AMENDED, Trigger.ANSWERED, Decimal(10), Decimal(25)
    )
    still_gone = revenue("0", withdrawn=True) | payout("0", number="25", withdrawn=True)
    assert payout_change(rules, ANSWERED, still_gone, restores=True) is None
