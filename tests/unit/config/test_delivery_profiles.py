"""Delivery profiles: what an offer takes by name, what it writes over it, and what is exported."""

from typing import Any

import pytest

from auction.domain.terms import OfferTerms
from auction.workbench import Workbench
from buyers.tokens import CallerIdMode
from config.built_in_profiles import BUILT_IN
from config.check import check, check_text
from config.delivery_profiles import merged
from config.marketplace import export_yaml, read_marketplace, to_plain
from config.sealing import hide, seal
from config.secret_box import SecretBox
from storage.catalogue import StoredItem
from storage.catalogue_items import split
from tests.unit.config.samples import ACME, SET, changed, check_changed

URL = "https://acme.example/ping"
HOUSE: dict[str, Any] = {
    "id": "house",
    "fixed_amount": "22.00",
    "ping": {"timeout_ms": 400, "format": "form", "body": {"zip": "{{ fields.zip_code }}"}},
    "post": {"timeout_ms": 700},
}
WRITTEN = {"profile": "house", "ping": {"url": URL, "timeout_ms": 300}}
PING_POST = (*ACME, "ping_post")


def a_market(written: object = WRITTEN, profile: object = HOUSE) -> dict[str, Any]:
    return changed((PING_POST, written), (("delivery_profiles",), [profile]))


def test_what_an_offer_writes_stands_over_its_profile() -> None:
    _, marketplace = check(a_market(), SET).usable()
    terms = marketplace.buyers[0].offers[0].ping_post
    assert terms is not None
    assert (terms.ping.url, terms.ping.timeout_ms, terms.ping.format) == (URL, 300, "form")
    assert terms.ping.body == {"zip": "{{ fields.zip_code }}"}
    assert terms.fixed_amount == 22
    assert terms.post is None, "a profile's post has no address"


def test_a_post_that_an_offer_writes_takes_the_rest_from_the_profile() -> None:
    written = {**WRITTEN, "post": {"url": URL}}
    _, marketplace = check(a_market(written), SET).usable()
    terms = marketplace.buyers[0].offers[0].ping_post
    assert terms is not None
    assert terms.post is not None
    assert (terms.post.timeout_ms, terms.post.caller_id) == (700, CallerIdMode.PLAIN.value)


def test_what_was_written_is_stored_exported_and_read_again() -> None:
    data, marketplace = check(a_market(), SET).usable()
    assert to_plain(marketplace)["delivery_profiles"] == [HOUSE]
    stored = seal(data, SecretBox(bytes(32)))
    assert stored["buyers"][0]["offers"][0]["ping_post"] == WRITTEN  # type: ignore[index] # plain data
    assert seal(hide(stored), SecretBox(bytes(32)), stored) == stored
    text = export_yaml(read_marketplace(stored))
    again = check_text(text.encode(), SET)
    assert again.faults == ()
    assert again.marketplace == read_marketplace(stored)


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_profile_needs_only_an_address(name: str) -> None:
    ends = {"ping": {"url": URL}, "post": {"url": URL}}
    result = check_changed((PING_POST, {"profile": name, **ends}))
    assert result.faults == ()
    assert [each for each in result.warnings if "ping_post" in each.path] == []


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"written": {"profile": "hous", "ping": {"url": URL}}}, ".profile", "is not there"),
        ({"written": {"profile": 5, "ping": {"url": URL}}}, ".profile", "text"),
        ({"written": {"profile": "house"}}, ".ping.url", "is missing"),
        ({"written": {"profile": "house", "ping": {"url": URL, "body": 5}}}, ".ping.body", "mapp"),
        ({"written": {**WRITTEN, "minimum_bid": 30}}, ".fixed_amount", "is below minimum_bid"),
    ],
)
def test_the_merged_settings_are_checked(changes: dict[str, Any], path: str, words: str) -> None:
    faults = check(a_market(**changes), SET).faults
    assert [fault.path for fault in faults] == [f"buyers[0].offers[0].ping_post{path}"]
    assert words in faults[0].message


def test_a_private_field_in_a_profiles_ping_is_a_fault_of_the_offer() -> None:
    telling = {"id": "house", "ping": {"body": {"mail": "{{ fields.email }}"}}}
    faults = check(a_market(profile=telling), SET).faults
    assert [fault.path for fault in faults] == ["buyers[0].offers[0].ping_post.ping.body.mail"]


@pytest.mark.parametrize(
    ("profile", "path"),
    [
        ({"id": "ringba"}, ".id"),
        ({"id": "a b"}, ".id"),
        ({"id": "own", "ping": {"auth": {"type": "none"}}}, ".ping.auth"),
        ({"id": "own", "ping": {"hash_key": "x"}}, ".ping.hash_key"),
        ({"id": "own", "ping": {"format": "xml", "body": "<a>"}}, ".ping.body"),
        ({"id": "own", "ping": 5}, ".ping"),
        ({"id": "own", "bid_valid_s": None}, ".bid_valid_s"),
        ({"id": "own", "minimum_bid": 5}, ".minimum_bid"),
    ],
)
def test_a_profile_that_makes_no_sense_is_a_fault(profile: object, path: str) -> None:
    faults = check_changed((("delivery_profiles",), [profile])).faults
    assert [fault.path for fault in faults] == [f"delivery_profiles[0]{path}"]


def test_two_profiles_have_two_ids_and_one_without_gets_one() -> None:
    faults = check_changed((("delivery_profiles",), [{"id": "a"}, {"id": "a"}])).faults
    assert [fault.path for fault in faults] == ["delivery_profiles[1].id"]
    data, _ = check_changed((("delivery_profiles",), [{"name": "Own"}])).usable()
    assert data["delivery_profiles"] == [{"id": "own", "name": "Own"}]


def test_merging_goes_key_by_key_within_ping_and_post() -> None:
    profile = {"fixed_amount": 5, "ping": {"a": 1, "b": 2}, "post": {"c": 3}}
    assert merged({"ping": {"b": 9}}, profile) == {"fixed_amount": 5, "ping": {"a": 1, "b": 9}}
    assert merged({"ping": {}, "post": None}, profile) == {
        "fixed_amount": 5,
        "ping": {"a": 1, "b": 2},
        "post": None,
    }


def ready_offer(bench: Workbench, data: dict[str, Any]) -> OfferTerms:
    """Acme's terms in a marketplace that the bench has made ready."""
    checked, _ = check(data, SET).usable()
    items = [
        StoredItem(each.kind, each.id, each.parent, each.position, each.text)
        for each in split(checked)
    ]
    ready = bench.make(items, 1)
    return {str(offer): each for offer, each in ready.catalogue.offers.items()}["acme-auto"]


def test_a_profile_that_changes_makes_its_offers_anew() -> None:
    bench = Workbench(lambda secret: "", lambda offer: b"")
    written = {"profile": "house", "ping": {"url": URL}}
    for timeout_ms in (400, 500):
        profile = {**HOUSE, "ping": {"timeout_ms": timeout_ms}}
        terms = ready_offer(bench, a_market(written, profile)).ping_post
        assert terms is not None
        assert terms.ping_timeout_ms == timeout_ms


def test_segments_and_boosts_that_change_make_offers_anew() -> None:
    bench = Workbench(lambda secret: "", lambda offer: b"")
    segment = {"when": [{"field": "age", "op": "gte", "value": 65}], "tags": ["gold"]}
    one_after_the_other: list[tuple[list[object], list[str]]] = [
        ([], []),
        ([segment], []),
        ([segment], ["2"]),
        ([segment], ["3"]),
        ([], ["3"]),
    ]
    for segments, factors in one_after_the_other:
        boosts = [{"offer": "acme-auto", "factor": factor} for factor in factors]
        data = changed(
            (("campaigns", 0, "segments"), segments),
            (("campaigns", 0, "auction", "boosts"), boosts),
        )
        terms = ready_offer(bench, data)
        assert len(terms.outside) == len(segments)
        assert [str(boost.factor) for boost in terms.boosts] == factors
