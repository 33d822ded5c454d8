"""Validations, consent, segments and boosts as an operator writes them."""

from decimal import Decimal

import pytest

from buyers.terms import build_catalogue
from config.check import check
from config.requirements import compile_pattern
from tests.unit.config.samples import ACME, SET, changed, check_changed

OFFER = "buyers[0].offers[0]"


@pytest.mark.parametrize(
    ("rule", "place", "words"),
    [
        ({"type": "zip"}, ".field", "is missing"),
        ({"field": "x", "type": "phrase"}, ".type", "must be one of"),
        ({"field": "x", "type": "email", "minimum": 1}, ".minimum", "does not go with type email"),
        ({"field": "x", "type": "date", "minimum": "1.5.2020"}, ".minimum", "must be a date"),
        ({"field": "x", "type": "date", "minimum": 20200101}, ".minimum", "must be a date"),
        ({"field": "x", "type": "integer", "minimum": "1.5"}, ".minimum", "a whole number"),
        ({"field": "x", "minimum": -1}, ".minimum", "a length in characters"),
        ({"field": "x", "type": "decimal", "minimum": "x"}, ".minimum", "must be a number"),
        ({"field": "x", "minimum": 5, "maximum": 4}, ".maximum", "is below minimum"),
        ({"field": "x", "pattern": "("}, ".pattern", "is not a regular expression"),
        ({"field": "x", "pattern": "(a)\\1"}, ".pattern", "bounded time"),
        ({"field": "x", "pattern": "x{1000}{1000}"}, ".pattern", "bounded time"),
        ({"field": "x", "minimun": 1}, ".minimun", "unknown key"),
    ],
)
def test_a_validation_that_makes_no_sense_is_a_fault(
    rule: dict[str, object], place: str, words: str
) -> None:
    faults = check_changed(((*ACME, "validations"), [rule])).faults
    assert [fault.path for fault in faults] == [f"{OFFER}.validations[0]{place}"]
    assert words in faults[0].message


def test_a_consent_has_one_age() -> None:
    rule = {"field": "x", "max_age_h": 1, "max_age_days": 1}
    faults = check_changed(((*ACME, "consents"), [rule])).faults
    assert [fault.path for fault in faults] == [f"{OFFER}.consents[0].max_age_days"]


def test_a_pattern_matches_whole_texts_in_linear_time() -> None:
    matches = compile_pattern("a|b+")
    assert matches("a")
    assert not matches("ab")
    assert not compile_pattern("(a+)+b")("a" * 100_000)


@pytest.mark.parametrize(
    ("boost", "place", "words"),
    [
        ({"factor": 2}, ".factor", "a tag, an offer or a source"),
        ({"tag": "gold", "factor": 0}, ".factor", "greater than or equal"),
        ({"tag": "gold", "factor": "1.00001"}, ".factor", "at most 4 decimals"),
        ({"tag": " ", "factor": 1}, ".tag", "must not be empty"),
    ],
)
def test_a_boost_that_makes_no_sense_is_a_fault(
    boost: dict[str, object], place: str, words: str
) -> None:
    faults = check_changed((("campaigns", 0, "auction", "boosts"), [boost])).faults
    assert [fault.path for fault in faults] == [f"campaigns[0].auction.boosts[0]{place}"]
    assert words in faults[0].message or place == ".factor"


def test_a_segment_needs_conditions_and_tags() -> None:
    faults = check_changed((("campaigns", 0, "segments"), [{"when": [], "tags": []}])).faults
    assert sorted(fault.path for fault in faults) == [
        "campaigns[0].segments[0].tags",
        "campaigns[0].segments[0].when",
    ]


def test_segments_and_boosts_reach_the_offers_they_are_about() -> None:
    senior = {"when": [{"field": "age", "op": "gte", "value": 65}], "tags": ["gold", "senior"]}
    boosts = [
        {"tag": "gold", "factor": "1.5"},
        {"offer": "beacon-auto", "source": "pub-17", "factor": 2},
        {"source": "pub-17", "factor": "0.9"},
    ]
    data = changed(
        (("campaigns", 0, "segments"), [senior]),
        (("campaigns", 0, "auction", "boosts"), boosts),
        (("buyers", 0, "tags"), ["gold"]),
    )
    _, marketplace = check(data, SET).usable()
    catalogue = build_catalogue(marketplace, 1)
    by_offer = {offer.id: offer for offer in catalogue.offers.values()}
    acme, beacon = by_offer["acme-auto"], by_offer["beacon-auto"]  # type: ignore[index] # ids are plain text here

    assert acme.outside == ()
    assert [segment.name for segment in beacon.outside] == ["gold or senior"]
    told = [[(b.factor, b.source) for b in each.boosts] for each in (acme, beacon)]
    assert told == [
        [(Decimal("1.5"), None), (Decimal("0.9"), "pub-17")],
        [(Decimal(2), "pub-17"), (Decimal("0.9"), "pub-17")],
    ]
    assert all(each.auction.scored for each in catalogue.campaigns.values())


def test_a_quality_that_makes_no_sense_is_a_fault() -> None:
    rule = {"when": [{"field": "quality", "op": "gte", "value": 5}], "points": 5}
    faults = check_changed((("campaigns", 0, "quality"), {"rules": [rule]})).faults
    assert [fault.path for fault in faults] == ["campaigns[0].quality.rules[0].when[0].field"]
    bad = {"base": 101, "rules": [{"when": [], "points": 500}], "source_history": {"points": 0}}
    faults = check_changed((("campaigns", 0, "quality"), bad)).faults
    assert sorted(fault.path for fault in faults) == [
        "campaigns[0].quality.base",
        "campaigns[0].quality.rules[0].points",
        "campaigns[0].quality.rules[0].when",
        "campaigns[0].quality.source_history.points",
    ]


def test_a_quality_reaches_its_campaign() -> None:
    quality = {
        "base": 40,
        "rules": [{"when": [{"field": "age", "op": "gte", "value": 65}], "points": -5}],
        "source_history": {"points": 20},
    }
    _, marketplace = check(changed((("campaigns", 0, "quality"), quality)), SET).usable()
    [campaign] = build_catalogue(marketplace, 1).campaigns.values()
    assert campaign.quality is not None
    assert (campaign.quality.base, campaign.quality.source_points) == (40, 20)
    assert [rule.points for rule in campaign.quality.rules] == [-5]


def test_boosts_and_segments_that_can_do_nothing_are_advised_against() -> None:
    boosts = [
        {"tag": "gold", "offer": "acme-auto", "source": "pub-17", "factor": 2},
        {"tag": "silver", "offer": "nobodys", "source": "pub-18", "factor": 2},
    ]
    when = [{"field": "age", "op": "gte", "value": 65}]
    result = check_changed(
        (("buyers", 0, "tags"), ["gold"]),
        (("campaigns", 0, "auction", "boosts"), boosts),
        (
            ("campaigns", 0, "segments"),
            [{"when": when, "tags": ["gold", "x"]}, {"when": when, "tags": ["silver"]}],
        ),
    )
    assert result.faults == ()
    told = [each.path for each in result.warnings if "boosts" in each.path or "segm" in each.path]
    assert told == [
        "campaigns[0].auction.boosts[1].tag",
        "campaigns[0].auction.boosts[1].offer",
        "campaigns[0].auction.boosts[1].source",
        "campaigns[0].segments[1].tags",
    ]
