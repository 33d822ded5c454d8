"""What a buyer's report does to the conversion of a call, and to what the call takes of caps."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from auction.domain.conversions import Booked, EntryKind, Side
from auction.domain.ids import BuyerId, CallId
from auction.domain.postbacks import (
    STATUS_WORDS,
    Judged,
    Refused,
    Report,
    ReportResult,
    ReportStatus,
    Sale,
    agreed_amount,
    derived_event_id,
    judge_report,
    reported_amount,
)
from auction.domain.terms import ConversionRule, Trigger
from auction.domain.usage import NOTHING, Change
from tests.builders import NOON

CALL, ACME = CallId("call-1"), BuyerId("acme")
PRICE = Decimal("52.00")
LIVE = Change(1, (1, 0, 0, 0), (0, 1, 1, 520_000))
EARNED = Change(0, (1, 1, 1, 520_000), NOTHING)
LAPSED = Change(0, (1, 1, 0, 0), NOTHING)
POSTBACK = ConversionRule(Trigger.POSTBACK)


def a_sale(holding: Change = LIVE, *rules: ConversionRule, **changes: Any) -> Sale:
    return replace(Sale(CALL, 1, ACME, PRICE, rules or (POSTBACK,), holding), **changes)


def a_report(amount: str | None = None, **changes: Any) -> Report:
    said = None if amount is None else Decimal(amount)
    return replace(Report("e-1", ReportStatus.CONVERTED, said, NOON, None), **changes)


def a_withdrawal(**changes: Any) -> Report:
    return a_report(status=ReportStatus.WITHDRAWN, note="returned", **changes)


def booked(amount: str = "52.00", **changes: Any) -> Booked:
    return replace(Booked(Side.BUYER, 1, Trigger.ANSWERED, Decimal(amount)), **changes)


WITHDRAWN = booked("0", withdrawn=True)


def judged(report: Report, sale: Sale, before: Booked | None = None) -> Judged:
    """What becomes of a report that is not refused."""
    result = judge_report(report, sale, before)
    assert isinstance(result, Judged)
    return result


def test_the_first_report_books_what_was_agreed() -> None:
    result = judged(a_report(), a_sale())
    entry = result.entry
    assert entry is not None
    assert result.result is ReportResult.BOOKED
    assert (entry.kind, entry.side, entry.attempt) == (EntryKind.BOOKED, Side.BUYER, 1)
    assert (entry.trigger, entry.amount, entry.change) == (Trigger.POSTBACK, PRICE, PRICE)
    assert (entry.at, entry.actor, entry.event_id) == (NOON, "buyer:acme", "e-1")
    assert (entry.note, entry.beyond_hold) == (None, False)
    assert result.holding == Change(1, (1, 0, 1, 520_000), (0, 1, 0, 0))


def test_a_report_that_is_not_above_the_hold_gives_the_rest_back() -> None:
    result = judged(a_report("40"), a_sale())
    assert result.holding == Change(1, (1, 0, 1, 400_000), (0, 1, 0, 0))
    assert result.entry is not None
    assert not result.entry.beyond_hold


@pytest.mark.parametrize(
    ("holding", "amount", "before"),
    [
        (LIVE, "52.0001", None),
        (LAPSED, "52", None),
        (LAPSED, "0", None),
        (EARNED, "60", booked()),
        (replace(LIVE, pending=(0, 1, 1, 0)), "0.0001", None),
        (LAPSED, "1", WITHDRAWN),
    ],
)
def test_a_report_beyond_the_hold_is_booked_in_full_and_flagged(
    holding: Change, amount: str, before: Booked | None
) -> None:
    result = judged(a_report(amount), a_sale(holding), before)
    assert result.entry is not None
    assert result.entry.beyond_hold
    assert result.entry.amount == Decimal(amount)
    assert result.holding.used[2:] == (1, int(Decimal(amount) * 10_000))


def test_another_amount_amends_what_stands_and_keeps_its_trigger() -> None:
    result = judged(a_report("40", note="approved"), a_sale(EARNED), booked())
    entry = result.entry
    assert entry is not None
    assert result.result is ReportResult.AMENDED
    assert (entry.kind, entry.trigger) == (EntryKind.AMENDED, Trigger.ANSWERED)
    assert (entry.amount, entry.change) == (Decimal(40), Decimal(-12))
    assert (entry.note, entry.beyond_hold) == ("approved", False)
    assert result.holding.used == (1, 1, 1, 400_000)


@pytest.mark.parametrize("amount", ["52", None])
def test_the_same_amount_or_none_confirms_what_stands(amount: str | None) -> None:
    result = judged(a_report(amount), a_sale(EARNED), booked())
    assert result == Judged(ReportResult.UNCHANGED, EARNED)


def test_a_withdrawal_takes_back_what_stands() -> None:
    result = judged(a_withdrawal(), a_sale(EARNED), booked())
    entry = result.entry
    assert entry is not None
    assert result.result is ReportResult.WITHDRAWN
    assert (entry.kind, entry.trigger) == (EntryKind.WITHDRAWN, Trigger.ANSWERED)
    assert (entry.amount, entry.change) == (Decimal(0), Decimal(-52))
    assert (entry.note, entry.beyond_hold) == ("returned", False)
    assert result.holding == LAPSED


def test_a_report_restores_what_was_withdrawn() -> None:
    result = judged(a_report(), a_sale(LAPSED), WITHDRAWN)
    entry = result.entry
    assert entry is not None
    assert result.result is ReportResult.AMENDED
    assert (entry.kind, entry.trigger, entry.note) == (
        EntryKind.AMENDED,
        Trigger.ANSWERED,
        "restored",
    )
    assert (entry.amount, entry.change) == (PRICE, PRICE)
    assert result.holding.used == (1, 1, 1, 520_000)


def test_nothing_is_withdrawn_where_nothing_stands() -> None:
    assert judged(a_withdrawal(), a_sale()) == Judged(ReportResult.IGNORED, LIVE)
    again = judged(a_withdrawal(), a_sale(LAPSED), WITHDRAWN)
    assert again == Judged(ReportResult.UNCHANGED, LAPSED)


def test_what_stands_for_another_buyer_is_not_touched() -> None:
    theirs = booked(attempt=2)
    assert judge_report(a_report(), a_sale(), theirs) is Refused.OTHER_BUYER
    assert judged(a_withdrawal(), a_sale(), theirs).result is ReportResult.IGNORED


def test_what_went_on_to_another_attempt_converts_here_no_more() -> None:
    sale = replace(a_sale(), passed_on=True)
    for before in (None, WITHDRAWN):
        assert judge_report(a_report(), sale, before) is Refused.PASSED_ON
    assert judged(a_report("45"), sale, booked()).result is ReportResult.AMENDED
    assert judged(a_withdrawal(), sale, booked()).result is ReportResult.WITHDRAWN


def test_what_another_buyer_withdrew_may_be_converted_by_this_one() -> None:
    result = judged(a_report("45"), a_sale(), replace(WITHDRAWN, attempt=2))
    entry = result.entry
    assert entry is not None
    assert (entry.kind, entry.attempt) == (EntryKind.AMENDED, 1)
    assert (entry.trigger, entry.amount, entry.change) == (
        Trigger.POSTBACK,
        Decimal(45),
        Decimal(45),
    )


@pytest.mark.parametrize("report", [a_report("9"), a_withdrawal()])
def test_a_buyer_that_is_not_billed_reports_in_vain(report: Report) -> None:
    result = judged(report, a_sale(billed=False))
    assert result == Judged(ReportResult.IGNORED, LIVE)


def test_what_was_agreed_is_the_first_postback_rules_amount_or_the_price() -> None:
    timer = ConversionRule(Trigger.TIMER, 90, Decimal(45))
    fixed = ConversionRule(Trigger.POSTBACK, amount=Decimal(60))
    other = ConversionRule(Trigger.POSTBACK, amount=Decimal(70))
    assert agreed_amount([timer, fixed, other], PRICE) == 60
    assert agreed_amount([timer, POSTBACK, fixed], PRICE) == PRICE
    assert agreed_amount([timer], PRICE) == PRICE


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("52.5", "52.5"),
        (" $52.50 ", "52.5"),
        ("0", "0"),
        ("0.00", "0"),
        ("$0", "0"),
        (".0", "0"),
        ("0.00009", "0"),
        ("0.00019", "0.0001"),
        ("10000", "10000"),
        ("10000.01", None),
        ("-1", None),
        ("-0", None),
        ("+1", None),
        ("1,000", None),
        ("1e3", None),
        ("NaN", None),
        ("", None),
        ("$", None),
        ("9" * 40, None),
    ],
)
def test_a_reported_amount_is_read_like_any_other_but_may_be_nothing(
    text: str, amount: str | None
) -> None:
    assert reported_amount(text) == (None if amount is None else Decimal(amount))


def test_a_derived_event_id_follows_from_the_content() -> None:
    said = (CALL, ACME, ReportStatus.CONVERTED, Decimal("52.00"))
    same = derived_event_id(*said)
    assert same == derived_event_id(CALL, ACME, ReportStatus.CONVERTED, Decimal(52))
    assert len(same) <= 128
    others = {
        derived_event_id(CallId("call-2"), *said[1:]),
        derived_event_id(CALL, BuyerId("beacon"), *said[2:]),
        derived_event_id(CALL, ACME, ReportStatus.WITHDRAWN, said[3]),
        derived_event_id(*said[:3], Decimal(51)),
        derived_event_id(*said[:3], None),
    }
    assert len(others - {same}) == 5


def test_buyers_have_several_words_for_the_two_things_they_say() -> None:
    said = {status: [w for w, s in STATUS_WORDS.items() if s is status] for status in ReportStatus}
    assert said == {
        ReportStatus.CONVERTED: ["converted", "approved"],
        ReportStatus.WITHDRAWN: ["withdrawn", "rejected", "returned"],
    }
