"""From the marketplace file to the terms that decisions read."""

from datetime import date
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from auction.domain.breaker import BreakerTerms
from auction.domain.hours import ALWAYS_OPEN
from auction.domain.ids import CampaignId, OfferId
from auction.domain.ping_rate import PingRateTerms
from auction.domain.terms import (
    Cap,
    Catalogue,
    ConversionRule,
    Destination,
    DuplicateAfter,
    DuplicateRule,
    DuplicateScope,
    Measure,
    OfferTerms,
    Period,
    PingPostTerms,
    Trigger,
)
from buyers.terms import build_catalogue
from config.check import check
from config.faults import ConfigError
from config.marketplace import read_marketplace
from tests.unit.config.samples import SET, acceptance


def catalogue_of(
    offer: dict[str, Any] | None = None,
    buyer: dict[str, Any] | None = None,
    campaign: dict[str, Any] | None = None,
    **top: Any,
) -> Catalogue:
    """The terms of a marketplace with one offer ``o`` of buyer ``b`` on campaign ``c``."""
    offers = [{"id": "o", "campaign": "c", **(offer or {})}]
    data = {
        "campaigns": [{"id": "c", **(campaign or {})}],
        "buyers": [{"id": "b", "offers": offers, **(buyer or {})}],
        **top,
    }
    _, marketplace = check(data, {}).usable()
    return build_catalogue(marketplace, 7)


def the_offer(*parts: dict[str, Any], **top: Any) -> OfferTerms:
    return next(iter(catalogue_of(*parts, **top).offers.values()))


def test_the_acceptance_file_becomes_terms() -> None:
    _, marketplace = check(acceptance(), SET).usable()
    catalogue = build_catalogue(marketplace, 3)
    campaign = catalogue.campaigns[catalogue.campaign_by_number["+18005550101"]]
    assert (catalogue.revision, catalogue.currency, campaign.id) == (3, "USD", "auto-insurance")
    assert [offer.id for offer in campaign.offers] == sorted(catalogue.offers)
    assert campaign.private_fields == {"first_name", "last_name", "email"}
    assert campaign.allowed_countries == {"US"}
    acme = campaign.offers[0]
    assert acme.limits[0].concurrency == 3
    assert acme.limits[1].concurrency == 5
    assert acme.limits[0].caps == (
        Cap(Measure.CALLS, Period.DAY, 50),
        Cap(Measure.CALLS, Period.MONTH, 1000),
    )
    assert acme.conversions == (ConversionRule(Trigger.TIMER, connected_s=90),)
    assert acme.ping_post is not None
    assert acme.ping_post.minimum_bid == Decimal(35)
    assert (acme.ping_post.posts, acme.ping_post.post_idempotent) == (True, False)
    overflow = campaign.offers[-1]
    assert overflow.static_amount == Decimal(12)
    assert overflow.destination == Destination("tel:+18885550143", dial_timeout_s=15)
    assert overflow.conversions == (ConversionRule(Trigger.ANSWERED),)


@pytest.mark.parametrize(
    ("offer", "buyer", "offer_zone", "buyer_zone"),
    [
        ({}, {}, "America/New_York", "America/New_York"),
        ({}, {"time_zone": "America/Denver"}, "America/Denver", "America/Denver"),
        ({"hours": {"time_zone": "Europe/Paris"}}, {}, "Europe/Paris", "America/New_York"),
        (
            {"hours": {"time_zone": "Europe/Paris"}},
            {"time_zone": "America/Denver"},
            "Europe/Paris",
            "America/Denver",
        ),
        ({"hours": {}}, {"time_zone": "America/Denver"}, "America/Denver", "America/Denver"),
    ],
)
def test_a_cap_counts_in_the_nearest_zone(
    offer: dict[str, Any], buyer: dict[str, Any], offer_zone: str, buyer_zone: str
) -> None:
    terms = the_offer(offer, buyer)
    assert [limits.zone.key for limits in terms.limits] == [offer_zone, buyer_zone]
    assert [limits.owner for limits in terms.limits] == ["offer:o", "buyer:b"]
    if terms.hours is not None:
        assert terms.hours.zone.key == offer_zone


def test_the_marketplaces_zone_is_the_last_resort() -> None:
    catalogue = catalogue_of(time_zone="Asia/Tokyo")
    assert catalogue.zone == ZoneInfo("Asia/Tokyo")
    assert catalogue.offers[OfferId("o")].limits[0].zone == ZoneInfo("Asia/Tokyo")


def test_hours_without_a_week_are_open_but_on_closed_dates() -> None:
    hours = the_offer({"hours": {"closed_dates": ["2026-12-25"]}}).hours
    assert hours is not None
    assert hours.weekly == ALWAYS_OPEN
    assert hours.closed_dates == {date(2026, 12, 25)}


def test_a_revenue_cap_is_kept_in_ten_thousandths() -> None:
    caps = [{"measure": "revenue", "per": "total", "limit": "250000.5"}]
    assert the_offer({}, {"caps": caps}).limits[1].caps == (
        Cap(Measure.REVENUE, Period.TOTAL, 2_500_005_000),
    )


OFFER_RULE = DuplicateRule(30, DuplicateAfter.ROUTED, DuplicateScope.OFFER)
CAMPAIGN_RULE = DuplicateRule(7, DuplicateAfter.CONVERTED, DuplicateScope.CAMPAIGN)


@pytest.mark.parametrize(
    ("on_offer", "on_campaign", "rule"),
    [
        (None, None, None),
        ({"within_days": 30}, None, OFFER_RULE),
        (None, {"within_days": 7, "after": "converted"}, CAMPAIGN_RULE),
        ({"within_days": 30}, {"within_days": 7, "after": "converted"}, OFFER_RULE),
        (
            {"within_days": 1, "after": "answered", "scope": "buyer"},
            None,
            DuplicateRule(1, DuplicateAfter.ANSWERED, DuplicateScope.BUYER),
        ),
    ],
)
def test_an_offers_own_duplicate_rule_goes_before_its_campaigns(
    on_offer: object, on_campaign: object, rule: DuplicateRule | None
) -> None:
    catalogue = catalogue_of({"duplicates": on_offer}, {}, {"duplicates": on_campaign})
    assert next(iter(catalogue.offers.values())).duplicates == rule


@pytest.mark.parametrize(
    ("campaign", "countries"),
    [
        ({}, {"US"}),
        ({"numbers": ["+18005550100"]}, {"US"}),
        ({"numbers": ["+442071838750", "+493012345678"]}, {"GB", "DE"}),
        ({"numbers": ["+442071838750"], "allowed_countries": ["CA"]}, {"CA"}),
    ],
)
def test_the_countries_are_those_of_the_numbers_unless_named(
    campaign: dict[str, Any], countries: set[str]
) -> None:
    [terms] = catalogue_of({}, {}, campaign).campaigns.values()
    assert terms.allowed_countries == countries


def test_a_destination_may_be_an_address_alone() -> None:
    [campaign] = catalogue_of(campaign={"no_route_destination": "sip:desk@pbx"}).campaigns.values()
    assert campaign.no_route_destination == Destination("sip:desk@pbx")


def test_an_offer_without_a_post_does_not_post() -> None:
    terms = the_offer({"ping_post": {"ping": {"url": "http://a/"}}}).ping_post
    assert terms is not None
    assert not terms.posts
    assert terms.minimum_bid == 0


def test_unbilled_buyers_are_routed_statically_at_nothing() -> None:
    offer = {"destination": {"uri": "sip:qa@pbx"}, "static_price": "5"}
    terms = the_offer(offer, {"type": "quality_assurance"})
    assert terms.static_amount == 0
    assert not terms.auctioned


def test_paused_offers_and_buyers_are_marked() -> None:
    terms = the_offer({"enabled": False}, {"enabled": False})
    assert (terms.enabled, terms.buyer_enabled) == (False, False)


def test_offers_are_in_order_of_their_ids() -> None:
    offers = [{"id": name, "campaign": "c"} for name in ("o-2", "o-10", "a", "z")]
    catalogue = catalogue_of(buyer={"offers": offers})
    assert [offer.id for offer in catalogue.campaigns[CampaignId("c")].offers] == [
        "a",
        "o-10",
        "o-2",
        "z",
    ]


def test_an_unknown_campaign_is_refused() -> None:
    data = {"buyers": [{"id": "b", "offers": [{"id": "o", "campaign": "c"}]}]}
    with pytest.raises(ConfigError, match=r"offers.o.campaign"):
        build_catalogue(read_marketplace(data), 1)


PING_POST = {"minimum_bid": 1, "ping": {"url": "http://a/"}}
DESTINATION = {"uri": "sip:a@b"}


def ping_post_of(**terms: Any) -> PingPostTerms:
    offer = {"destination": DESTINATION, "ping_post": {**PING_POST, **terms}}
    found = the_offer(offer).ping_post
    assert found is not None
    return found


def test_without_a_breaker_or_a_rate_none_acts() -> None:
    terms = ping_post_of()
    assert (terms.breaker, terms.ping_rate) == (None, None)


def test_an_empty_breaker_has_the_documented_defaults() -> None:
    assert ping_post_of(breaker={"failure_ratio": "0.5"}).breaker == BreakerTerms(
        failure_ratio=5_000,
        timeout_ratio=5_000,
        malformed_ratio=5_000,
        refused_post_ratio=5_000,
        minimum_pings=20,
        minimum_posts=20,
        window_s=60,
        open_s=30,
        probes=5,
        trickle=500,
        shadow=False,
    )


def test_a_breakers_own_ratios_and_bounds_are_kept() -> None:
    breaker = {
        "failure_ratio": "0.4",
        "timeout_ratio": "0.1",
        "malformed_ratio": "0.25",
        "refused_post_ratio": "0.8",
        "minimum_pings": 5,
        "minimum_posts": 3,
        "window_s": 10,
        "open_s": 2,
        "probes": 1,
        "trickle": "0.01",
        "shadow": True,
    }
    terms = ping_post_of(breaker=breaker, max_ping_rate={"per_second": "0.5", "shadow": True})
    assert terms.breaker == BreakerTerms(4_000, 1_000, 2_500, 8_000, 5, 3, 10, 2, 1, 100, True)
    assert terms.ping_rate == PingRateTerms(0.5, shadow=True)
