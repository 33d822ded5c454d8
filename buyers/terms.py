"""From the marketplace as an operator writes it to the terms that decisions read."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from sys import intern
from typing import Final, TypeVar, cast
from zoneinfo import ZoneInfo

from auction.domain.breaker import WHOLE, BreakerTerms
from auction.domain.hours import ALWAYS_OPEN, Hours
from auction.domain.ids import (
    BuyerId,
    CampaignId,
    OfferId,
    OwnerId,
    SourceId,
    SuppressionId,
    buyer_owner,
    offer_owner,
)
from auction.domain.money import to_units
from auction.domain.numbers import NumberTerms, PoolTerms
from auction.domain.phone import country_of
from auction.domain.ping_rate import PingRateTerms
from auction.domain.quality import QualityRule, QualityTerms
from auction.domain.terms import (
    AuctionTerms,
    Boost,
    Campaign,
    Cap,
    Catalogue,
    ConversionRule,
    Destination,
    DuplicateRule,
    DuplicateScope,
    Measure,
    OfferTerms,
    OwnerLimits,
    PayoutRule,
    Period,
    PingPostTerms,
    Retention,
    ReturnTerms,
    Segment,
    Subscriber,
    Trigger,
    WebhookEvent,
)
from auction.domain.validation import Requirement
from buyers.number_terms import filter_of, number_terms, pool_terms
from config import marketplace as configured
from config import offers as configured_offers
from config.endpoints import Breaker, MaxPingRate, PingPost
from config.faults import ConfigError, Fault
from config.offers import read_week
from config.privacy import Retention as ConfiguredRetention
from config.quality import Quality
from config.requirements import ConsentRule, Validation, requirement_of
from config.suppressions import Suppression
from config.values import DEFAULT_COUNTRY
from config.webhooks import Webhook

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
        self._rules = {campaign.id: _campaign_rule(campaign) for campaign in marketplace.campaigns}
        self._campaigns = {campaign.id: campaign for campaign in marketplace.campaigns}
        self._limits = {buyer.id: self._limits_of(buyer) for buyer in marketplace.buyers}
        self._shared: dict[object, object] = {}

    @property
    def surroundings(self) -> object:
        """All of the marketplace but its buyers that an offer's terms depend on; its repr tells."""
        campaigns = sorted(self._campaigns.items())
        rules = [
            (name, self._rules[name], each.segments, each.auction.boosts)
            for name, each in campaigns
        ]
        return self._marketplace.time_zone, rules

    def offer(self, offer: configured_offers.Offer, buyer: configured.Buyer) -> OfferTerms:
        """The terms of one offer. Raises ConfigError when it names an unknown campaign."""
        if offer.campaign not in self._rules:
            raise ConfigError([Fault(("offers", offer.id, "campaign"), "is not known")])
        offer_id, limits = OfferId(offer.id), self._limits[buyer.id]
        zone = (offer.hours.time_zone if offer.hours else None) or self._zone_of(buyer)
        own_rule = _duplicates(offer.duplicates, DuplicateScope.OFFER)
        own_limits = _limits(offer_owner(offer_id), zone, offer.concurrency, offer.caps)
        return OfferTerms(
            id=offer_id,
            campaign=CampaignId(intern(offer.campaign)),
            buyer=BuyerId(intern(buyer.id)),
            buyer_type=buyer.type,
            limits=(replace(own_limits, caps=self._share(own_limits.caps)), limits),
            enabled=offer.enabled,
            buyer_enabled=buyer.enabled,
            destination=self._share(_destination(offer.destination)),
            hours=self._share(_hours(offer.hours, zone)),
            required_fields=self._share(offer.required_fields),
            filters=self._share(tuple(self._share(filter_of(rule)) for rule in offer.filters)),
            requirements=self._share(_requirements(offer)),
            outside=self._share(_outside(self._campaigns[offer.campaign], buyer)),
            boosts=self._share(_boosts(self._campaigns[offer.campaign], buyer, offer)),
            priority=offer.priority,
            weight=offer.weight,
            static_price=self._share(offer.static_price),
            ping_post=self._share(_ping_post(offer.ping_post)),
            conversions=self._share(tuple(map(_conversion, offer.conversions))) or _WHEN_ABSENT,
            duplicates=self._share(own_rule) or self._rules[offer.campaign],
            returns=self._share(_returns(offer.returns)),
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
        dialled = _dialled(market, numbers, pools)
        campaigns = [
            _campaign(
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
                BuyerId(buyer.id): _subscribers(f"buyer:{buyer.id}", buyer.webhooks)
                for buyer in market.buyers
                if buyer.webhooks
            },
            suppression_lists=frozenset(SuppressionId(each.id) for each in market.suppressions),
            numbers={each.number: each for each in numbers},
            pools={each.id: each for each in pools},
            pool_by_number={number: each for each in pools for number in each.numbers},
            lendable=_left_to_lend(market),
        )

    def _zone_of(self, buyer: configured.Buyer) -> str:
        return buyer.time_zone or self._marketplace.time_zone

    def _limits_of(self, buyer: configured.Buyer) -> OwnerLimits:
        owner = buyer_owner(BuyerId(buyer.id))
        return _limits(owner, self._zone_of(buyer), buyer.concurrency, buyer.caps)

    def _share(self, value: Part) -> Part:
        """The first of all equal values: offers repeat each other a lot."""
        same = self._shared.setdefault((type(value), value), value)
        return cast("Part", same)


def _campaign(
    campaign: configured.Campaign,
    offers: Iterable[OfferTerms],
    rules: Mapping[str, DuplicateRule | None],
    dialled: Sequence[str],
    lists: Iterable[Suppression],
) -> Campaign:
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
        no_route_destination=_destination(campaign.no_route_destination),
        allowed_countries=_countries(campaign, dialled),
        caller_blocklist=frozenset(campaign.caller_blocklist),
        duplicates=rules[campaign.id],
        payouts=tuple(_payout(rule) for rule in campaign.payouts),
        subscribers=_subscribers(f"campaign:{campaign.id}", campaign.webhooks),
        retention=_retention(campaign.retention),
        suppressions={
            SuppressionId(each.id): None if each.buyer is None else BuyerId(each.buyer)
            for each in lists
            if each.campaign is None or each.campaign == campaign.id
        },
        quality=None if campaign.quality is None else _quality(campaign.quality),
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


def _dialled(
    market: configured.Marketplace, numbers: Iterable[NumberTerms], pools: Iterable[PoolTerms]
) -> Mapping[CampaignId, Sequence[str]]:
    """Every number whose calls come in to a campaign, by campaign."""
    found: defaultdict[CampaignId, list[str]] = defaultdict(list)
    for campaign in market.campaigns:
        found[CampaignId(campaign.id)] += campaign.numbers
    for number in numbers:
        found[number.campaign].append(number.number)
    for pool in pools:
        found[pool.campaign] += pool.numbers
    known = {number for each in found.values() for number in each}
    for pool in pools:
        # A number that visitors are shown must lead somewhere, even one that nobody has written.
        if pool.fallback_number is not None and pool.fallback_number not in known:
            known.add(pool.fallback_number)
            found[pool.campaign].append(pool.fallback_number)
    return found


def _left_to_lend(market: configured.Marketplace) -> Mapping[SourceId, int]:
    """How many numbers of pools each source may have at once, beside those that are its own."""
    own = Counter(number.source for number in market.numbers)
    return {
        SourceId(source.id): max(0, source.number_cap - own[source.id])
        for source in market.sources
        if source.number_cap is not None
    }


def _retention(retention: ConfiguredRetention | None) -> Retention:
    if retention is None:
        return Retention()
    return Retention(retention.pii_days, retention.calls_days)


def _countries(campaign: configured.Campaign, dialled: Iterable[str]) -> frozenset[str]:
    if campaign.allowed_countries:
        return frozenset(campaign.allowed_countries)
    found = {country_of(number) for number in dialled} - {None}
    return frozenset(country for country in found if country) or frozenset({DEFAULT_COUNTRY})


def _campaign_rule(campaign: configured.Campaign) -> DuplicateRule | None:
    return _duplicates(campaign.duplicates, DuplicateScope.CAMPAIGN)


def _duplicates(
    rule: configured_offers.Duplicates | None, default_scope: DuplicateScope
) -> DuplicateRule | None:
    if rule is None:
        return None
    return DuplicateRule(rule.within_days, rule.after, rule.scope or default_scope)


def _limits(
    owner: OwnerId, zone: str, concurrency: int | None, caps: Iterable[configured_offers.Cap]
) -> OwnerLimits:
    return OwnerLimits(owner, ZoneInfo(zone), concurrency, tuple(_cap(cap) for cap in caps))


def _cap(cap: configured_offers.Cap) -> Cap:
    limit = cap.limit if isinstance(cap.limit, int) else to_units(cap.limit)
    return Cap(Measure[cap.measure.upper()], Period[cap.per.upper()], limit)


def _destination(destination: configured_offers.Destination | None) -> Destination | None:
    if destination is None:
        return None
    return Destination(
        uri=destination.uri,
        dial_timeout_s=destination.dial_timeout_s,
        send_digits=destination.send_digits,
        whisper=destination.whisper,
    )


def _hours(hours: configured_offers.Hours | None, zone: str) -> Hours | None:
    if hours is None:
        return None
    weekly = ALWAYS_OPEN if hours.weekly is None else read_week(tuple(hours.weekly.items()))
    closed = frozenset(date.fromisoformat(day) for day in hours.closed_dates)
    return Hours(ZoneInfo(zone), weekly, closed)


def _requirements(offer: configured_offers.Offer) -> tuple[Requirement, ...]:
    rules: list[Validation | ConsentRule] = [*offer.validations, *offer.consents]
    return tuple(map(requirement_of, rules))


def _returns(returns: configured_offers.Returns | None) -> ReturnTerms | None:
    if returns is None:
        return None
    withdraws = returns.payout == "withdraw"
    return ReturnTerms(returns.within_days, frozenset(returns.reasons), withdraws)


def _outside(campaign: configured.Campaign, buyer: configured.Buyer) -> tuple[Segment, ...]:
    return tuple(
        Segment(" or ".join(segment.tags), tuple(filter_of(rule) for rule in segment.when))
        for segment in campaign.segments
        if set(segment.tags).isdisjoint(buyer.tags)
    )


def _boosts(
    campaign: configured.Campaign, buyer: configured.Buyer, offer: configured_offers.Offer
) -> tuple[Boost, ...]:
    return tuple(
        Boost(boost.factor, None if boost.source is None else SourceId(boost.source))
        for boost in campaign.auction.boosts
        if (boost.tag is None or boost.tag in buyer.tags) and boost.offer in (None, offer.id)
    )


def _conversion(rule: configured_offers.ConversionRule) -> ConversionRule:
    return ConversionRule(
        trigger=rule.trigger,
        connected_s=rule.connected_s or 0,
        amount=rule.amount,
        dedupe_days=rule.dedupe_days,
        postback_within_h=rule.postback_within_h,
    )


def _payout(rule: configured.Payout) -> PayoutRule:
    return PayoutRule(
        source=None if rule.source == "*" else SourceId(rule.source),
        trigger=rule.trigger,
        connected_s=rule.connected_s or 0,
        amount=rule.amount,
        percent=rule.percent,
        dedupe_days=rule.dedupe_days,
    )


def _subscribers(owner: str, webhooks: Iterable[Webhook]) -> tuple[Subscriber, ...]:
    return tuple(
        Subscriber(owner, webhook.id, frozenset(WebhookEvent(event) for event in webhook.events))
        for webhook in webhooks
    )


def _ping_post(terms: PingPost | None) -> PingPostTerms | None:
    if terms is None:
        return None
    post = terms.post
    return PingPostTerms(
        minimum_bid=terms.minimum_bid,
        ping_timeout_ms=terms.ping.timeout_ms,
        maximum_bid=terms.maximum_bid,
        fixed_amount=terms.fixed_amount,
        bid_valid_s=terms.bid_valid_s,
        on_unknown=terms.on_unknown,
        posts=post is not None,
        post_timeout_ms=post.timeout_ms if post else 0,
        post_idempotent=post.idempotent if post else False,
        breaker=_breaker(terms.breaker),
        ping_rate=_ping_rate(terms.max_ping_rate),
    )


def _breaker(breaker: Breaker | None) -> BreakerTerms | None:
    if breaker is None:
        return None
    of_all = breaker.failure_ratio
    return BreakerTerms(
        failure_ratio=_parts(of_all),
        timeout_ratio=_parts(breaker.timeout_ratio or of_all),
        malformed_ratio=_parts(breaker.malformed_ratio or of_all),
        refused_post_ratio=_parts(breaker.refused_post_ratio or of_all),
        minimum_pings=breaker.minimum_pings,
        minimum_posts=breaker.minimum_posts or breaker.minimum_pings,
        window_s=breaker.window_s,
        open_s=breaker.open_s,
        probes=breaker.probes,
        trickle=_parts(breaker.trickle),
        shadow=breaker.shadow,
    )


def _parts(ratio: Decimal) -> int:
    return int(ratio * WHOLE)


def _ping_rate(rate: MaxPingRate | None) -> PingRateTerms | None:
    return None if rate is None else PingRateTerms(float(rate.per_second), rate.shadow)
