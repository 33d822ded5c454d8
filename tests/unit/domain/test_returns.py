"""What a buyer may give back, and what that undoes."""

from datetime import timedelta
from decimal import Decimal

import pytest

from auction.domain.conversions import Booked, Entry, EntryKind, Side
from auction.domain.ids import CallId
from auction.domain.returns import NotAllowed, clawed_back, why_not
from auction.domain.terms import ReturnTerms, Trigger
from tests.builders import NOON

TERMS = ReturnTerms(7, frozenset({"wrong_number", "duplicate"}))
WEEK = timedelta(days=7)
TICK = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("terms", "reason", "after", "refused"),
    [
        (TERMS, "duplicate", timedelta(), None),
        (TERMS, "duplicate", WEEK, None),
        (TERMS, "duplicate", WEEK + TICK, NotAllowed.TOO_LATE),
        (TERMS, "no good", timedelta(), NotAllowed.OTHER_REASON),
        (ReturnTerms(7), "no good", timedelta(), None),
        (None, "duplicate", timedelta(), NotAllowed.NO_TERMS),
    ],
)
def test_a_claim_is_allowed_within_its_days_and_for_its_reasons(
    terms: ReturnTerms | None, reason: str, after: timedelta, refused: NotAllowed | None
) -> None:
    assert why_not(terms, reason, NOON, NOON + after) is refused


CREDIT = Entry(
    CallId("call-1"),
    Side.BUYER,
    1,
    EntryKind.WITHDRAWN,
    Trigger.ANSWERED,
    Decimal(0),
    Decimal(-52),
    NOON,
    "buyer:acme",
    "return",
    "returned: duplicate",
)


def test_a_payout_that_stands_goes_back_with_the_credit() -> None:
    payout = Booked(Side.SOURCE, 2, Trigger.ANSWERED, Decimal(9))
    entry = clawed_back(CREDIT.call_id, payout, CREDIT)
    assert entry is not None
    assert (entry.side, entry.attempt, entry.kind) == (Side.SOURCE, 2, EntryKind.WITHDRAWN)
    assert (entry.amount, entry.change) == (Decimal(0), Decimal(-9))
    assert (entry.actor, entry.event_id, entry.note) == ("buyer:acme", "return", CREDIT.note)


def test_where_no_payout_stands_nothing_goes_back() -> None:
    gone = Booked(Side.SOURCE, 1, Trigger.ANSWERED, Decimal(0), withdrawn=True)
    assert clawed_back(CREDIT.call_id, None, CREDIT) is None
    assert clawed_back(CREDIT.call_id, gone, CREDIT) is None
