"""Places that a call may go: what is held there, and under which rules it earns."""

from decimal import Decimal

import pytest

from auction.domain.ids import CallId
from auction.domain.terms import BuyerType, PayoutRule, Trigger
from auction.engine.plan import static_candidates
from tests.builders import a_static_offer

PAYOUTS = (PayoutRule(None, Trigger.ANSWERED, amount=Decimal("9.00")),)


@pytest.mark.parametrize("buyer_type", [BuyerType.QUALITY_ASSURANCE, BuyerType.VOICE_BOT])
def test_a_call_that_nobody_buys_pays_no_source(buyer_type: BuyerType) -> None:
    offers = [a_static_offer(buyer_type=buyer_type)]
    [candidate] = static_candidates(offers, CallId("call-1"), test=False, payouts=PAYOUTS)
    assert candidate.price == 0
    assert (*candidate.conversions, *candidate.payouts) == ()


def test_a_static_sale_pays_its_source() -> None:
    [candidate] = static_candidates(
        [a_static_offer()], CallId("call-1"), test=False, payouts=PAYOUTS
    )
    assert candidate.payouts == PAYOUTS
