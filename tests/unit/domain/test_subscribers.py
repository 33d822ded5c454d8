"""Who is told of a call: its campaign's webhooks, and its buyer's."""

from dataclasses import replace

import pytest

from auction.domain.ids import BuyerId, CampaignId
from auction.domain.terms import Catalogue, Subscriber, WebhookEvent
from tests.builders import CAMPAIGN, a_campaign, a_catalogue

OURS = Subscriber(f"campaign:{CAMPAIGN}", "ours", frozenset(WebhookEvent))
THEIRS = Subscriber("buyer:acme", "theirs", frozenset({WebhookEvent.CALL_ENDED}))


def the_catalogue() -> Catalogue:
    campaign = replace(a_campaign(), subscribers=(OURS,))
    return replace(a_catalogue(campaign), buyer_subscribers={BuyerId("acme"): (THEIRS,)})


@pytest.mark.parametrize(
    ("campaign", "buyer", "told"),
    [
        (CAMPAIGN, "acme", (OURS, THEIRS)),
        (CAMPAIGN, "beacon", (OURS,)),
        (CAMPAIGN, None, (OURS,)),
        (None, "acme", (THEIRS,)),
        (None, None, ()),
        ("not-known", "acme", (THEIRS,)),
    ],
)
def test_a_campaigns_webhooks_are_told_of_all_and_a_buyers_of_its_own(
    campaign: str | None, buyer: str | None, told: tuple[Subscriber, ...]
) -> None:
    of_campaign = None if campaign is None else CampaignId(campaign)
    of_buyer = None if buyer is None else BuyerId(buyer)
    assert the_catalogue().subscribers(of_campaign, of_buyer) == told
