"""What of a stored revision is made anew, and what is taken over from the last one."""

import gc
import json
from collections.abc import Mapping
from typing import Any

import pytest

from auction.domain.ids import OfferId
from auction.domain.offer_index import index_offers
from auction.workbench import ReadyRevision, Workbench, unwatched
from buyers.offer_dialect import OfferDialect
from buyers.terms import build_catalogue
from config.faults import ConfigError
from config.marketplace import read_marketplace
from config.sealing import SecretUnavailableError
from config.secret_values import Secret
from storage.catalogue import StoredItem
from storage.catalogue_items import split

ACME, BEACON = OfferId("acme-auto"), OfferId("beacon-auto")


def a_market(**changes: Any) -> dict[str, Any]:
    """Two buyers with an offer each; ``acme``, ``beacon``, ``auto`` and ``offer`` change parts."""
    ping = {"minimum_bid": "5.00", "ping": {"url": "http://127.0.0.1:9/ping"}}
    notices = {"won_url": "http://127.0.0.1:9/won"}
    acme = {"id": ACME, "campaign": "auto", "ping_post": {**ping, "notices": notices}}
    beacon = {"id": BEACON, "campaign": "auto", "ping_post": ping}
    return {
        "time_zone": "America/Chicago",
        **changes.get("main", {}),
        "campaigns": [{"id": "auto", **changes.get("auto", {})}],
        "buyers": [
            {"id": "acme", "offers": [{**acme, **changes.get("offer", {})}]},
            {"id": "beacon", "offers": [beacon], **changes.get("beacon", {})},
        ],
    }


def stored(market: Mapping[str, Any]) -> list[StoredItem]:
    return [
        StoredItem(item.kind, item.id, item.parent, item.position, json.dumps(item.document))
        for item in split(market)
    ]


def a_workbench(secrets: Mapping[str, str] | None = None) -> Workbench:
    def resolve(secret: Secret) -> str:
        try:
            return (secrets or {})["token"]
        except KeyError:
            raise SecretUnavailableError("there is no token") from None

    return Workbench(resolve, lambda offer: offer.encode())


def lines(ready: ReadyRevision) -> list[object]:
    return [ready.lines[ACME], ready.lines[BEACON]]


def test_offers_that_are_read_one_by_one_make_the_catalogue_of_the_whole() -> None:
    market = a_market(beacon={"caps": [{"measure": "calls", "per": "day", "limit": 5}]})
    ready = a_workbench().make(stored(market), 3)
    assert ready.catalogue == build_catalogue(read_marketplace(market), 3)
    assert all(isinstance(line, OfferDialect) for line in lines(ready))
    assert [*ready.notices] == [ACME]


@pytest.mark.parametrize(
    ("changes", "taken_over"),
    [
        ({}, [True, True]),
        ({"offer": {"weight": 2}}, [False, True]),
        ({"beacon": {"concurrency": 3}}, [True, False]),
        ({"main": {"time_zone": "Europe/Madrid"}}, [False, False]),
        ({"auto": {"duplicates": {"within_days": 3}}}, [False, False]),
        ({"auto": {"name": "Auto"}}, [True, True]),
    ],
)
def test_an_offer_is_made_anew_when_anything_that_it_depends_on_has_changed(
    changes: dict[str, Any], taken_over: list[bool]
) -> None:
    workbench, market = a_workbench(), a_market(**changes)
    first = workbench.make(stored(a_market()), 1)
    second = workbench.make(stored(market), 2)
    assert [new is old for new, old in zip(lines(second), lines(first), strict=True)] == taken_over
    assert second.catalogue == build_catalogue(read_marketplace(market), 2)
    assert workbench.terms(stored(a_market()), 1) == first.catalogue


def changed_items(
    market: Mapping[str, Any], before: Mapping[str, Any]
) -> tuple[list[StoredItem], list[str]]:
    """What is read of the storage when one follows the other."""
    old = {(each.kind, each.id): each.text for each in stored(before)}
    items = stored(market)
    new = {(each.kind, each.id): each.text for each in items}
    fresh = [
        each for each in items if each.kind != "offer" or old.get(("offer", each.id)) != each.text
    ]
    closed = [
        name for kind, name in old if kind == "offer" and new.get((kind, name)) != old[kind, name]
    ]
    return fresh, closed


def updated(
    workbench: Workbench, market: Mapping[str, Any], before: Mapping[str, Any]
) -> ReadyRevision:
    """The second revision, of what has changed since the first and what that asks for."""
    update = workbench.begin(*changed_items(market, before))
    items = [each for each in stored(market) if each.kind == "offer" and each.id in update.stale]
    return workbench.finish(update, items, 2)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"offer": {"weight": 2}},
        {"offer": {"id": "another"}},
        {"auto": {"private_fields": ["email"]}},
        {"beacon": {"offers": []}},
    ],
)
def test_a_revision_made_of_what_has_changed_is_the_one_made_of_all(
    changes: dict[str, Any],
) -> None:
    workbench, before, market = a_workbench(), a_market(), a_market(**changes)
    workbench.make(stored(before), 1)
    made = updated(workbench, market, before)
    whole = a_workbench().make(stored(market), 2)
    assert made.catalogue == whole.catalogue
    assert made.lines.keys() == whole.lines.keys()
    assert made.notices.keys() == whole.notices.keys()


@pytest.mark.parametrize(
    ("changes", "stale"),
    [
        ({"main": {"time_zone": "Europe/Madrid"}}, [ACME, BEACON]),
        ({"auto": {"duplicates": {"within_days": 3}}}, [ACME, BEACON]),
        ({"beacon": {"concurrency": 3}}, [BEACON]),
        ({"beacon": {"enabled": False}, "offer": {"weight": 2}}, [BEACON]),
        ({"auto": {"private_fields": ["email"]}}, []),
    ],
)
def test_of_what_has_not_changed_only_that_is_asked_for_whose_surroundings_have(
    changes: dict[str, Any], stale: list[OfferId]
) -> None:
    workbench, before, market = a_workbench(), a_market(), a_market(**changes)
    workbench.make(stored(before), 1)
    assert workbench.begin(*changed_items(market, before)).stale == stale
    made = updated(workbench, market, before)
    assert made.catalogue == build_catalogue(read_marketplace(market), 2)


def test_who_asks_no_offers_is_made_their_terms_without_secrets() -> None:
    ready = Workbench().make(stored(a_market()), 1)
    assert ready.catalogue == build_catalogue(read_marketplace(a_market()), 1)
    assert not ready.lines


def test_an_offer_that_could_not_be_asked_is_tried_again() -> None:
    auth = {"type": "bearer", "token": {"env": "TOKEN"}}
    ping = {"url": "http://127.0.0.1:9/ping", "auth": auth}
    market = a_market(offer={"ping_post": {"ping": ping}})
    secrets: dict[str, str] = {}
    workbench = a_workbench(secrets)
    assert workbench.make(stored(market), 1).lines[ACME] == "there is no token"
    assert workbench.unusable == [ACME]
    secrets["token"] = "found by now"
    assert isinstance(workbench.make(stored(market), 2).lines[ACME], OfferDialect)


def test_an_offer_whose_compiling_crashes_keeps_no_other_from_being_asked() -> None:
    def crash(offer: OfferId) -> bytes:
        raise ValueError("secret words")

    ping = {"url": "http://127.0.0.1:9/ping", "caller_id": "hashed"}
    market = a_market(offer={"ping_post": {"ping": ping}})
    ready = Workbench(lambda _: "", crash).make(stored(market), 1)
    assert ready.lines[ACME] == "it can't be compiled (ValueError)"
    assert isinstance(ready.lines[BEACON], OfferDialect)


def test_what_was_made_of_a_revision_goes_without_the_garbage_collection() -> None:
    def come_and_go() -> None:
        workbench = a_workbench()
        for weight in (1, 2):
            ready = workbench.make(stored(a_market(offer={"weight": weight})), weight)
            assert index_offers(ready.catalogue)

    come_and_go()
    gc.collect()
    gc.disable()
    try:
        come_and_go()
        assert gc.collect() == 0, "what is frozen would stay for good"
    finally:
        gc.enable()


def test_the_garbage_collection_works_again_after_a_revision_that_could_not_be_made() -> None:
    with pytest.raises(ConfigError), unwatched():
        a_workbench().make(stored(a_market(offer={"campaign": "gone"})), 1)
    assert gc.isenabled()
