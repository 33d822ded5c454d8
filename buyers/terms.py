"""From the marketplace as an operator writes it to the terms that decisions read."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from sys import intern
from typing import Final, TypeVar, cast
from zoneinfo import ZoneInfo

from auction.domain.ids import (
    BuyerId,
    CampaignId,
    OfferId,
    SuppressionId,
    buyer_owner,
    offer_owner,
)
from auction.domain.terms import (
    Catalogue,
    ConversionRule,
    DuplicateScope,
    OfferTerms,
    OwnerLimits,
    Trigger,
)
from buyers.campaign_terms import campaign_terms, subscribers_of
from buyers.number_terms import (
    filter_of,
    left_to_lend,
    number_terms,
    numbers_by_campaign,
    pool_terms,
)
from buyers.offer_terms import (
    boosts_of,
    conversion_rule,
    destination_of,
    duplicate_rule,
    hours_of,
    owner_limits,
    requirements_of,
    return_terms,
    segments_outside,
)
from buyers.ping_post_terms import ping_post_terms
from config import marketplace as configured
from config import offers as configured_offers
from config.faults import ConfigError, Fault
from config.values import DEFAULT_COUNTRY

Part = TypeVar("Part")

_WHEN_ABSENT: Final = (ConversionRule(Trigger.ANSWERED),)


def build_catalogue(marketplace: configured.Marketplace, revision: int) -> Catalogue:
    """One immutable revision of the marketplace, offers in order of id.

    Raises ConfigError when an offer names an unknown campaign, which a checked marketplace never
    does.
    """
    terms = TermsOf(marketplace)
    offers = [terms.offer(each, buyer) for buyer in marketplace.buyers for each in buyer.offers]
    return terms.catalogue(offers, revision)


class TermsOf:
    """The terms of one marketplace, whose offers may come one by one; equal parts are shared."""

    def __init__(self, marketplace: configured.Marketplace) -> None:
        self._marketplace = marketplace
        self._rules = {
            campaign.id: duplicate_rule(campaign.duplicates, DuplicateScope.CAMPAIGN)
            for campaign in marketplace.campaigns
        }
        self._campaigns = {campaign.id: campaign for campaign in marketplace.campaigns}
        self._limits = {buyer.id: self._limits_of(buyer) for buyer in marketplace.buyers}
        self._shared: dict[object, object] = {}

    def surroundings(self, campaign: str) -> object:
        """All but its buyer that terms of a campaign's offers depend on; its repr tells.

        Of the marketplace's own part and of campaigns, `catalogue_touched` has the same in SQL.
        """
        known = self._campaigns.get(campaign)
        if known is None:
            return None
        parts = (self._rules[campaign], known.segments, known.auction.boosts)
        return self._marketplace.time_zone, parts

    def offer(self, offer: configured_offers.Offer, buyer: configured.Buyer) -> OfferTerms:
        """The terms of one offer. Raises ConfigError when it names an unknown campaign."""
        if offer.campaign not in self._rules:
            raise ConfigError([Fault(("offers", offer.id, "campaign"), "is not known")])
        offer_id, limits = OfferId(offer.id), self._limits[buyer.id]
        zone = (offer.hours.time_zone if offer.hours else None) or self._zone_of(buyer)
        own_rule = duplicate_rule(offer.duplicates, DuplicateScope.OFFER)
        own_limits = owner_limits(offer_owner(offer_id), zone, offer.concurrency, offer.caps)
        return OfferTerms(
            id=offer_id,
            campaign=CampaignId(intern(offer.campaign)),
            buyer=BuyerId(intern(buyer.id)),
            buyer_type=buyer.type,
            limits=(replace(own_limits, caps=self._share(own_limits.caps)), limits),
            enabled=offer.enabled,
            buyer_enabled=buyer.enabled,
            destination=self._share(destination_of(offer.destination)),
            hours=self._share(hours_of(offer.hours, zone)),
            required_fields=self._share(offer.required_fields),
            filters=self._share(tuple(self._share(filter_of(rule)) for rule in offer.filters)),
            requirements=self._share(requirements_of(offer)),
            outside=self._share(segments_outside(self._campaigns[offer.campaign], buyer)),
            boosts=self._share(boosts_of(self._campaigns[offer.campaign], buyer, offer)),
            priority=offer.priority,
            weight=offer.weight,
            static_price=self._share(offer.static_price),
            ping_post=self._share(ping_post_terms(offer.ping_post)),
            conversions=self._share(tuple(map(conversion_rule, offer.conversions))) or _WHEN_ABSENT,
            duplicates=self._share(own_rule) or self._rules[offer.campaign],
            returns=self._share(return_terms(offer.returns)),
        )

    def catalogue(self, offers: Iterable[OfferTerms], revision: int) -> Catalogue:
        """The whole marketplace with these offers."""
        ordered = sorted(offers, key=lambda offer: offer.id)
        by_campaign: defaultdict[str, list[OfferTerms]] = defaultdict(list)
        for offer in ordered:
            by_campaign[offer.campaign].append(offer)
        market = self._marketplace
        numbers = [number_terms(each) for each in market.numbers]
        pools = [pool_terms(each) for each in market.pools]
        dialled = numbers_by_campaign(market, numbers, pools)
        campaigns = [
            campaign_terms(
                each,
                by_campaign[each.id],
                self._rules,
                dialled[CampaignId(each.id)],
                market.suppressions,
            )
            for each in market.campaigns
        ]
        return Catalogue(
            revision=revision,
            currency=market.currency,
            zone=ZoneInfo(market.time_zone),
            campaigns={campaign.id: campaign for campaign in campaigns},
            campaign_by_number={
                number: campaign for campaign, each in dialled.items() for number in each
            },
            offers={offer.id: offer for offer in ordered},
            default_country=DEFAULT_COUNTRY,
            buyer_subscribers={
                BuyerId(buyer.id): subscribers_of(f"buyer:{buyer.id}", buyer.webhooks)
                for buyer in market.buyers
                if buyer.webhooks
            },
            suppression_lists=frozenset(SuppressionId(each.id) for each in market.suppressions),
            numbers={each.number: each for each in numbers},
            pools={each.id: each for each in pools},
            pool_by_number={number: each for each in pools for number in each.numbers},
            lendable=left_to_lend(market),
        )

    def _zone_of(self, buyer: configured.Buyer) -> str:
        return buyer.time_zone or self._marketplace.time_zone

    def _limits_of(self, buyer: configured.Buyer) -> OwnerLimits:
        owner = buyer_owner(BuyerId(buyer.id))
        return owner_limits(owner, self._zone_of(buyer), buyer.concurrency, buyer.caps)

    def _share(self, value: Part) -> Part:
        """The first of all equal values: offers repeat each other a lot."""
        same = self._shared.setdefault((type(value), value), value)
        return cast("Part", same)
