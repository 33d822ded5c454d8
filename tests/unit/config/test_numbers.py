"""Numbers, pools, voice agents and buyers of other types in a marketplace file."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from buyers.terms import build_catalogue
from config.check import CheckResult, check
from config.marketplace import Marketplace, export_yaml, read_marketplace
from config.yaml_file import load_yaml
from storage.catalogue_items import changes, join, split

NUMBER = {"id": "brand", "number": "(800) 555-0177", "campaign": "auto", "source": "pub-1"}
POOL = {"id": "web", "campaign": "auto", "numbers": ["+18005550201"], "source": "pub-1"}
AGENT = {"id": "robin", "campaign": "auto", "sip_url": "sip:robin@bots.example", "priority": 3}


def market(**lists: Any) -> Mapping[str, Any]:
    """A small marketplace with these lists."""
    small: dict[str, Any] = {
        "campaigns": [{"id": "auto", "numbers": ["+18005550100"]}],
        "sources": [{"id": "pub-1", "number_cap": 2}],
        "buyers": [{"id": "acme", "offers": [{"id": "acme-auto", "campaign": "auto"}]}],
    }
    return {**small, **lists}


def checked(**lists: Any) -> CheckResult:
    return check(market(**lists), {})


def usable(**lists: Any) -> Marketplace:
    return checked(**lists).usable()[1]


@pytest.mark.parametrize(
    ("lists", "path", "words"),
    [
        ({"numbers": [{**NUMBER, "campaign": "home"}]}, "numbers[0].campaign", "not there"),
        ({"numbers": [{**NUMBER, "source": "pub-9"}]}, "numbers[0].source", "not there"),
        ({"numbers": [{**NUMBER, "number": "+18005550100"}]}, "numbers[0].number", "campaign auto"),
        ({"numbers": [NUMBER, {**NUMBER, "id": "b"}]}, "numbers[1].number", "number brand"),
        ({"pools": [{**POOL, "numbers": ["+18005550100"]}]}, "pools[0].numbers[0]", "campaign"),
        ({"pools": [{**POOL, "cap": -1}]}, "pools[0].cap", "0"),
        ({"pools": [{**POOL, "lease_s": 0}]}, "pools[0].lease_s", "1"),
        ({"pools": [POOL, {**POOL, "numbers": []}]}, "pools[1].id", "already"),
        ({"numbers": [{**NUMBER, "tags": {"a": {}}}]}, "numbers[0].tags.a", "text"),
        ({"numbers": [{**NUMBER, "tags": {"a": 10**30}}]}, "numbers[0].tags.a", "text"),
        ({"numbers": [{**NUMBER, "tags": {"a": "x" * 1001}}]}, "numbers[0].tags.a", "1000"),
        (
            {"numbers": [{**NUMBER, "tags": {f"t{n}": 1 for n in range(65)}}]},
            "numbers[0].tags",
            "64",
        ),
        (
            {"numbers": [{**NUMBER, "rules": [{"action": "reject", "offers": ["none"]}]}]},
            "numbers[0].rules[0].offers[0]",
            "not there",
        ),
        (
            {
                "numbers": [
                    {**NUMBER, "id": f"n{n}", "number": f"+180055502{n}"} for n in (10, 11, 12)
                ]
            },
            "sources[0].number_cap",
            "3 numbers",
        ),
        ({"voice_agents": [{**AGENT, "sip_url": "tel:+18005550100"}]}, "", "SIP"),
        (
            {"voice_agents": [{**AGENT, "campaign": "home"}]},
            "voice_agents[0].campaign",
            "not there",
        ),
        ({"voice_agents": [AGENT, AGENT]}, "voice_agents[1].id", "already"),
        ({"voice_agents": [{**AGENT, "id": "acme"}]}, "buyers[1].id", "already"),
    ],
)
def test_a_fault_is_told_at_its_place(lists: Mapping[str, Any], path: str, words: str) -> None:
    found = {fault.path: fault.message for fault in checked(**lists).faults}
    assert any(words in message for at, message in found.items() if at.startswith(path)), found


def test_what_has_no_id_gets_one_made_of_its_name_or_number() -> None:
    without = [{key: each for key, each in item.items() if key != "id"} for item in (NUMBER, POOL)]
    agent = {**AGENT, "id": None, "name": "Robin's desk"}
    found = usable(numbers=[without[0]], pools=[without[1]], voice_agents=[agent])
    assert [found.numbers[0].id, found.pools[0].id] == ["800-555-0177", "pool"]
    assert (found.voice_agents[0].id, found.buyers[-1].id) == ("robin-s-desk", "robin-s-desk")


def test_decimals_of_tags_are_kept_as_text() -> None:
    text = b"""
campaigns: [{id: auto}]
numbers: [{id: n, number: "+18005550177", campaign: auto, tags: {score: 7.50, page: 7}}]
"""
    data = load_yaml(text.decode())
    assert isinstance(data, dict)
    [number] = check(data, {}).usable()[1].numbers
    assert number.tags == {"score": "7.50", "page": 7}


def test_every_number_leads_to_its_campaign() -> None:
    pool = {**POOL, "fallback_number": "+18005550299"}
    known = {**POOL, "id": "b", "numbers": [], "fallback_number": "+18005550100"}
    catalogue = build_catalogue(usable(numbers=[NUMBER], pools=[pool, known]), 1)
    numbers = ("+18005550100", "+18005550177", "+18005550201", "+18005550299")
    assert catalogue.campaign_by_number == dict.fromkeys(numbers, "auto")
    assert catalogue.pool_by_number["+18005550201"].heartbeat_s == 900


def test_numbers_of_its_own_are_taken_off_what_a_source_may_have_of_pools() -> None:
    assert build_catalogue(usable(numbers=[NUMBER]), 1).lendable == {"pub-1": 1}


def test_a_voice_agent_makes_one_buyer_after_all_others_and_none_outlives_it() -> None:
    stored = checked(voice_agents=[AGENT]).usable()[0]
    found = read_marketplace(stored)
    made = found.buyers[-1]
    assert [each.id for each in found.buyers] == ["acme", "robin"]
    assert (made.type.value, made.voice_agent, made.offers[0].priority) == ("voice_bot", "robin", 3)
    [terms] = [each for each in build_catalogue(found, 1).offers.values() if each.buyer == "robin"]
    assert terms.static_amount == Decimal(0)
    assert not terms.auctioned
    without = check({**stored, "voice_agents": []}, {}).usable()[1]
    assert [each.id for each in without.buyers] == ["acme"]
    assert "voice_bot" not in export_yaml(found)


def test_a_hand_written_voice_bot_in_a_file_is_taken_as_it_is() -> None:
    offer = {"id": "o", "campaign": "auto", "destination": {"uri": "sip:a@b.example"}}
    bot = {"id": "bot", "type": "voice_bot", "offers": [offer]}
    found = usable(buyers=[bot])
    assert "voice_bot" in export_yaml(found)


def test_a_buyer_that_is_added_later_moves_none_that_an_agent_makes() -> None:
    before = split(checked(voice_agents=[AGENT]).usable()[0])
    buyers = [*market()["buyers"], {"id": "late"}]
    after = split(checked(voice_agents=[AGENT], buyers=buyers).usable()[0])
    placed = changes((), before).added
    assert [each.id for each in changes(placed, after).added] == ["late"]
    assert [each["id"] for each in join(after)["buyers"]] == ["acme", "late", "robin"]  # type: ignore[attr-defined] # plain data


def test_rules_of_quality_assurance_are_dropped_and_told_once() -> None:
    offers = [
        {
            "id": f"o{n}",
            "campaign": "auto",
            "destination": {"uri": "sip:a@b.example"},
            "conversions": [{"trigger": "answered"}] * n,
        }
        for n in (0, 1)
    ]
    result = checked(buyers=[{"id": "qa", "type": "quality_assurance", "offers": offers}])
    assert [each.path for each in result.warnings] == ["buyers[0].offers[1].conversions"]
    data, found = result.usable()
    assert [each.conversions for each in found.buyers[0].offers] == [(), ()]
    assert check(data, {}).warnings == ()


@pytest.mark.parametrize("junk", [7, ["x"], [{"type": "quality_assurance", "offers": 7}], None])
def test_lists_of_the_wrong_shape_are_left_to_validation(junk: object) -> None:
    assert checked(buyers=junk, voice_agents=junk).marketplace is None or junk is None
