"""What lists of numbers forbid."""

import pytest

from auction.domain.ids import BuyerId, SuppressionId
from auction.domain.suppression import NOT_SUPPRESSED, Suppressed, on_list, suppressed

DNC, CLIENTS, FRIENDS, ELSEWHERE = map(SuppressionId, ("dnc", "clients", "friends", "elsewhere"))
ACME = BuyerId("acme")
RULES = {DNC: None, CLIENTS: ACME, FRIENDS: ACME}


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        ((), NOT_SUPPRESSED),
        ((ELSEWHERE,), NOT_SUPPRESSED),
        ((DNC,), Suppressed(DNC)),
        ((CLIENTS, ELSEWHERE), Suppressed(None, {ACME: CLIENTS})),
        ((FRIENDS, CLIENTS), Suppressed(None, {ACME: CLIENTS})),
        ((CLIENTS, DNC), Suppressed(DNC, {ACME: CLIENTS})),
    ],
)
def test_a_list_forbids_its_buyers_offers_or_the_campaign(
    on: tuple[SuppressionId, ...], expected: Suppressed
) -> None:
    assert suppressed(RULES, on) == expected


def test_what_keeps_a_caller_from_an_offer_is_named() -> None:
    assert on_list(DNC) == "caller is on list dnc"
