"""What a hold was sold under, stored and read back, and what is left of it when it fails."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
import pytest

from auction.domain.ids import CallId, SourceId
from auction.domain.reasons import Reason
from auction.domain.terms import ConversionRule, PayoutRule, Trigger
from auction.domain.usage import NOTHING, Change, held_by
from storage.holds import Hold, HoldState, HoldTerms, dedupes_of, sold
from tests.builders import CAMPAIGN, NOON
from tests.ledger_steps import a_candidate

NOW = datetime(2026, 11, 20, 17, 5, tzinfo=UTC)
PAYOUTS = (
    PayoutRule(SourceId("pub-17"), Trigger.TIMER, 90, amount=Decimal("12.50"), dedupe_days=30),
    PayoutRule(None, Trigger.ATTEMPT, percent=Decimal("33.3333")),
)


def a_hold(**changes: Any) -> Hold:
    candidate = a_candidate()
    values: dict[str, Any] = {
        "call_id": CallId("call-1"),
        "attempt": 1,
        "state": HoldState.ROUTED,
        "position": 0,
        "campaign": CAMPAIGN,
        "offer": candidate.offer,
        "buyer": candidate.buyer,
        "routed_by": candidate.routed_by,
        "price": candidate.price,
        "post_id": candidate.post_id,
        "caller_hash": None,
        "terms": sold(candidate, NOON, ()),
        "holding": held_by(candidate.units),
        "lease_until": NOW,
        "sweep_at": NOW,
        **changes,
    }
    return Hold(**values)


def test_the_terms_of_a_hold_come_back_as_they_were() -> None:
    rules = (ConversionRule(Trigger.TIMER, 90, Decimal("12.3456"), 30),)
    candidate = a_candidate(conversions=rules, payouts=PAYOUTS)
    terms = sold(candidate, NOON, ((0, Reason.CAP_REACHED),))
    assert HoldTerms.load(terms.dump()) == terms
    assert (terms.rules, terms.payouts) == (rules, PAYOUTS)


def test_terms_stored_before_there_were_payouts_have_none() -> None:
    stored = orjson.loads(sold(a_candidate(payouts=PAYOUTS), NOON, ()).dump())
    del stored["payouts"]
    assert HoldTerms.load(orjson.dumps(stored).decode()) == sold(a_candidate(), NOON, ())


@pytest.mark.parametrize(
    ("conversions", "payouts", "dedupes"),
    [
        ((ConversionRule(Trigger.ANSWERED),), PAYOUTS[1:], False),
        ((), (), False),
        (
            (ConversionRule(Trigger.ANSWERED), ConversionRule(Trigger.TIMER, dedupe_days=1)),
            (),
            True,
        ),
        ((), PAYOUTS, True),
    ],
)
def test_a_candidate_dedupes_when_a_rule_of_either_side_does(
    conversions: tuple[ConversionRule, ...], payouts: tuple[PayoutRule, ...], dedupes: bool
) -> None:
    assert dedupes_of(a_candidate(conversions=conversions, payouts=payouts)) is dedupes


def test_an_attempt_that_failed_unheard_of_has_used_nothing() -> None:
    hold = a_hold().failed("busy", 486)
    assert (hold.state, hold.reason, hold.sip_code) == (HoldState.FAILED, "busy", 486)
    assert (hold.holding, hold.sweep_at) == (Change(), None)


def test_what_an_attempt_that_failed_has_brought_stays_used() -> None:
    holding = Change(1, (1, 1, 1, 200_000), (0, 0, 1, 320_000))
    times = {"answered_at": NOON, "converted_at": NOW, "paid_at": NOW + timedelta(seconds=1)}
    hold = a_hold(state=HoldState.ANSWERED, holding=holding, **times).failed("short_call", None)
    assert hold.holding == Change(0, (0, 1, 1, 200_000), NOTHING)
    assert {name: getattr(hold, name) for name in times} == times
    assert hold.terms == a_hold().terms
