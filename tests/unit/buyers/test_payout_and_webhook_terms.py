"""Payout rules and webhooks, from the marketplace file to the terms that decisions read."""

from decimal import Decimal
from typing import Any

from auction.domain.ids import BuyerId, CampaignId
from auction.domain.terms import Catalogue, PayoutRule, Subscriber, Trigger, WebhookEvent
from buyers.terms import build_catalogue
from config.check import check
from tests.unit.config.samples import SET, acceptance

HOOK = {"id": "w", "url": "https://hooks.example/in"}


def catalogue_of(campaign: dict[str, Any], buyer: dict[str, Any] | None = None) -> Catalogue:
    data = {"campaigns": [{"id": "c", **campaign}], "buyers": [{"id": "b", **(buyer or {})}]}
    _, marketplace = check(data, {}).usable()
    return build_catalogue(marketplace, 7)


def test_payouts_are_for_a_source_or_for_all_an_amount_or_a_percentage() -> None:
    catalogue = catalogue_of(
        {
            "payouts": [
                {
                    "source": "pub-17",
                    "trigger": "timer",
                    "connected_s": 60,
                    "percent": "62.5",
                    "dedupe_days": 30,
                },
                {"source": "*", "trigger": "attempt", "amount": "12.50"},
            ]
        }
    )
    named, others = catalogue.campaigns[CampaignId("c")].payouts
    assert named == PayoutRule(
        source=named.source,
        trigger=Trigger.TIMER,
        connected_s=60,
        percent=Decimal("62.5"),
        dedupe_days=30,
    )
    assert named.source == "pub-17"
    assert others == PayoutRule(None, Trigger.ATTEMPT, amount=Decimal("12.50"))


def test_the_acceptance_files_payouts_are_terms() -> None:
    _, marketplace = check(acceptance(), SET).usable()
    catalogue = build_catalogue(marketplace, 3)
    configured = sum(len(campaign.payouts) for campaign in marketplace.campaigns)
    assert configured > 0
    assert sum(len(each.payouts) for each in catalogue.campaigns.values()) == configured


def test_webhooks_are_subscribers_of_their_owner() -> None:
    catalogue = catalogue_of(
        {"webhooks": [{**HOOK, "events": ["call.routed", "cap.reached"]}]},
        {"webhooks": [{**HOOK, "id": "v", "events": ["conversion.amended"]}]},
    )
    ours = Subscriber(
        "campaign:c", "w", frozenset({WebhookEvent.CALL_ROUTED, WebhookEvent.CAP_REACHED})
    )
    theirs = Subscriber("buyer:b", "v", frozenset({WebhookEvent.CONVERSION_AMENDED}))
    assert catalogue.subscribers(CampaignId("c"), BuyerId("b")) == (ours, theirs)


def test_without_webhooks_and_payouts_there_are_none() -> None:
    catalogue = catalogue_of({})
    assert catalogue.campaigns[CampaignId("c")].payouts == ()
    assert catalogue.subscribers(CampaignId("c"), BuyerId("b")) == ()
