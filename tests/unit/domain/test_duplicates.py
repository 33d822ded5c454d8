"""Callers who were sold before."""

from datetime import timedelta

import pytest

from auction.domain.duplicates import is_duplicate
from auction.domain.ids import BuyerId, CampaignId, OfferId
from auction.domain.opening import PastCall
from auction.domain.terms import DuplicateAfter, DuplicateRule, DuplicateScope
from tests.builders import NOON

DAY = timedelta(days=1)
OFFER, BUYER, CAMPAIGN = OfferId("acme-auto"), BuyerId("acme"), CampaignId("auto")


def past(
    days: float,
    *,
    offer: str = OFFER,
    buyer: str = BUYER,
    campaign: str = CAMPAIGN,
    answered: bool = False,
    converted: bool = False,
) -> PastCall:
    """A call routed so many days ago, answered and converted a minute later."""
    routed_at = NOON - days * DAY
    later = routed_at + timedelta(minutes=1)
    return PastCall(
        offer=OfferId(offer),
        buyer=BuyerId(buyer),
        campaign=CampaignId(campaign),
        routed_at=routed_at,
        answered_at=later if answered else None,
        converted_at=later if converted else None,
    )


def duplicate(after: DuplicateAfter, scope: DuplicateScope, *calls: PastCall) -> bool:
    """Whether a rule of 30 days refuses a caller with these past calls."""
    return is_duplicate(DuplicateRule(30, after, scope), OFFER, BUYER, CAMPAIGN, calls, NOON)


def test_a_caller_never_heard_of_is_no_duplicate() -> None:
    assert not duplicate(DuplicateAfter.ROUTED, DuplicateScope.CAMPAIGN)


@pytest.mark.parametrize(("days", "expected"), [(0, True), (30, True), (30.01, False)])
def test_the_days_bound_how_far_back_is_looked(days: float, *, expected: bool) -> None:
    assert duplicate(DuplicateAfter.ROUTED, DuplicateScope.OFFER, past(days)) is expected


@pytest.mark.parametrize(
    ("after", "answered", "converted", "expected"),
    [
        (DuplicateAfter.ROUTED, False, False, True),
        (DuplicateAfter.ANSWERED, False, False, False),
        (DuplicateAfter.ANSWERED, True, False, True),
        (DuplicateAfter.CONVERTED, True, False, False),
        (DuplicateAfter.CONVERTED, True, True, True),
    ],
)
def test_the_earlier_call_must_have_come_far_enough(
    after: DuplicateAfter, *, answered: bool, converted: bool, expected: bool
) -> None:
    call = past(1, answered=answered, converted=converted)
    assert duplicate(after, DuplicateScope.OFFER, call) is expected


def test_the_time_of_the_step_counts_and_not_that_of_the_call() -> None:
    assert duplicate(DuplicateAfter.ANSWERED, DuplicateScope.OFFER, past(30, answered=True))
    a_minute = 1 / (24 * 60)
    exact = past(30 + a_minute, answered=True)
    assert duplicate(DuplicateAfter.ANSWERED, DuplicateScope.OFFER, exact)
    assert not duplicate(DuplicateAfter.ANSWERED, DuplicateScope.OFFER, past(31, answered=True))


@pytest.mark.parametrize(
    ("call", "scopes"),
    [
        (past(1), {"offer", "buyer", "campaign"}),
        (past(1, offer="acme-home", campaign="home"), {"buyer"}),
        (past(1, offer="beacon-auto", buyer="beacon"), {"campaign"}),
        (past(1, offer="beacon-home", buyer="beacon", campaign="home"), set()),
    ],
)
def test_each_scope_looks_at_its_own_calls(call: PastCall, scopes: set[str]) -> None:
    found = {s.value for s in DuplicateScope if duplicate(DuplicateAfter.ROUTED, s, call)}
    assert found == scopes


def test_one_of_many_calls_is_enough() -> None:
    calls = (past(90), past(60), past(1))
    assert duplicate(DuplicateAfter.ROUTED, DuplicateScope.OFFER, *calls)
