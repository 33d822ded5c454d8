"""From campaigns as an operator writes them to the terms that decisions read."""

from collections.abc import Iterable, Mapping, Sequence

from auction.domain.ids import (
    BuyerId,
    CampaignId,
    SourceId,
    SuppressionId,
)
from auction.domain.phone import country_of
from auction.domain.quality import QualityRule, QualityTerms
from auction.domain.terms import (
    AuctionTerms,
    Campaign,
    DuplicateRule,
    OfferTerms,
    PayoutRule,
    Retention,
    Subscriber,
    WebhookEvent,
)
from buyers.number_terms import filter_of
from buyers.offer_terms import destination_of
from config import marketplace as configured
from config.privacy import Retention as ConfiguredRetention
from config.quality import Quality
from config.suppressions import Suppression
from config.values import DEFAULT_COUNTRY
from config.webhooks import Webhook


def campaign_terms(
    campaign: configured.Campaign,
    offers: Iterable[OfferTerms],
    rules: Mapping[str, DuplicateRule | None],
    dialled: Sequence[str],
    lists: Iterable[Suppression],
) -> Campaign:
    """The terms of a campaign with its offers; ``rules``: duplicates, by campaign."""
    auction = campaign.auction
    return Campaign(
        id=CampaignId(campaign.id),
        name=campaign.name or campaign.id,
        offers=tuple(offers),
        numbers=campaign.numbers,
        private_fields=frozenset(campaign.private_fields),
        auction=AuctionTerms(
            budget_ms=auction.budget_ms,
            post_budget_ms=auction.post_budget_ms,
            reply_reserve_ms=auction.reply_reserve_ms,
            close_at_bid=auction.close_at_bid,
            rank_by=auction.rank,
            boosted=bool(auction.boosts),
        ),
        reauction=campaign.reauction,
        max_call_s=campaign.max_call_s,
        reports_answered=campaign.reports_answered,
        no_route_destination=destination_of(campaign.no_route_destination),
        allowed_countries=_countries(campaign, dialled),
        caller_blocklist=frozenset(campaign.caller_blocklist),
        duplicates=rules[campaign.id],
        payouts=tuple(_payout(rule) for rule in campaign.payouts),
        subscribers=subscribers_of(f"campaign:{campaign.id}", campaign.webhooks),
        retention=_retention(campaign.retention),
        suppressions={
            SuppressionId(each.id): None if each.buyer is None else BuyerId(each.buyer)
            for each in lists
            if each.campaign is None or each.campaign == campaign.id
        },
        quality=None if campaign.quality is None else _quality(campaign.quality),
    )


def subscribers_of(owner: str, webhooks: Iterable[Webhook]) -> tuple[Subscriber, ...]:
    """Who is told of which events; ``owner`` is ``campaign:<id>`` or ``buyer:<id>``."""
    return tuple(
        Subscriber(owner, webhook.id, frozenset(WebhookEvent(event) for event in webhook.events))
        for webhook in webhooks
    )


def _quality(quality: Quality) -> QualityTerms:
    history = quality.source_history
    return QualityTerms(
        base=quality.base,
        rules=tuple(
            QualityRule(tuple(filter_of(each) for each in rule.when), rule.points)
            for rule in quality.rules
        ),
        source_points=0 if history is None else history.points,
    )


def _retention(retention: ConfiguredRetention | None) -> Retention:
    if retention is None:
        return Retention()
    return Retention(retention.pii_days, retention.calls_days)


def _countries(campaign: configured.Campaign, dialled: Iterable[str]) -> frozenset[str]:
    if campaign.allowed_countries:
        return frozenset(campaign.allowed_countries)
    found = {country_of(number) for number in dialled} - {None}
    return frozenset(country for country in found if country) or frozenset({DEFAULT_COUNTRY})


def _payout(rule: configured.Payout) -> PayoutRule:
    return PayoutRule(
        source=None if rule.source == "*" else SourceId(rule.source),
        trigger=rule.trigger,
        connected_s=rule.connected_s or 0,
        amount=rule.amount,
        percent=rule.percent,
        dedupe_days=rule.dedupe_days,
    )
