"""The marketplace taken apart and put together."""

from typing import Any

import pytest

from storage.catalogue_items import CatalogueItem, changes, join, positions, split


def test_every_campaign_source_buyer_and_offer_is_an_item_and_the_rest_is_one() -> None:
    items = split(
        {
            "currency": "USD",
            "campaigns": [{"id": "c"}],
            "sources": [{"id": "s"}],
            "buyers": [{"id": "b", "offers": [{"id": "o"}, {"id": "p"}]}],
        }
    )
    assert [(item.kind, item.id, item.parent) for item in items] == [
        ("marketplace", "main", None),
        ("campaign", "c", None),
        ("source", "s", None),
        ("buyer", "b", None),
        ("offer", "o", "b"),
        ("offer", "p", "b"),
    ]
    assert items[0].document == {"currency": "USD", "campaigns": [], "sources": [], "buyers": []}
    assert items[3].document == {"id": "b", "offers": []}


@pytest.mark.parametrize(
    "marketplace",
    [
        {},
        {"currency": "USD"},
        {"campaigns": [], "buyers": None},
        {"buyers": [{"id": "b"}, {"id": "c", "offers": []}, {"id": "d", "offers": None}]},
        {"webhooks": [{"id": "not taken apart"}]},
    ],
)
def test_what_is_empty_or_missing_comes_back_as_it_was(marketplace: dict[str, Any]) -> None:
    assert join(split(marketplace)) == marketplace


@pytest.mark.parametrize(
    "marketplace",
    [
        {"campaigns": [{"name": "no id"}]},
        {"campaigns": ["text"]},
        {"buyers": [{"id": "b", "offers": [{"id": 7}]}]},
    ],
)
def test_an_item_without_an_id_is_refused(marketplace: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="number 1 has no id"):
        split(marketplace)


@pytest.mark.parametrize(
    "marketplace",
    [
        {"sources": [{"id": "s"}, {"id": "s"}]},
        {"buyers": [{"id": "a", "offers": [{"id": "o"}]}, {"id": "b", "offers": [{"id": "o"}]}]},
    ],
)
def test_an_id_that_is_there_twice_is_refused(marketplace: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is there 2 times"):
        split(marketplace)


def test_an_offer_without_its_buyer_is_refused() -> None:
    with pytest.raises(ValueError, match="belong to nothing"):
        join([CatalogueItem("offer", "o", {"id": "o"}, "gone")])


def test_the_order_of_keys_is_a_difference() -> None:
    stored = changes((), split({"sources": [{"id": "s", "a": 1, "b": 2}]})).added
    assert not changes(stored, split({"sources": [{"id": "s", "a": 1, "b": 2}]}))
    assert changes(stored, split({"sources": [{"id": "s", "b": 2, "a": 1}]}))


def test_newcomers_are_placed_between_their_neighbours() -> None:
    assert positions([10, None, 20]) == [10, 15, 20]
    assert positions([None, 10]) == [-1014, 10]
    assert positions([10, None]) == [10, 1034]


def test_where_there_is_no_room_all_are_placed_anew() -> None:
    assert positions([10, None, 11]) == [1024, 2048, 3072]
    assert positions([20, 10]) == [1024, 2048]
    assert positions([None, None]) == [1024, 2048]
