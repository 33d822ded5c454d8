"""Any history of marketplaces is kept, and nothing is written that did not change."""

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from storage.catalogue_items import CatalogueItem, changes, join, positions, split

ids = st.sampled_from("abcdefgh")


def documents(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    fields = {"id": ids.map(lambda name: f"{kind}-{name}"), "n": st.integers(0, 2)}
    return st.fixed_dictionaries(fields)


def lists(kind: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(documents(kind), unique_by=lambda item: item["id"], max_size=8)


@st.composite
def marketplaces(draw: st.DrawFn) -> dict[str, Any]:
    buyers = draw(lists("buyer"))
    for offer in draw(lists("offer")) if buyers else ():
        buyer = draw(st.sampled_from(buyers))
        buyer.setdefault("offers", []).append(offer)
    return {
        "currency": draw(st.sampled_from(["USD", "EUR"])),
        "buyers": buyers,
        "campaigns": draw(lists("campaign")),
    }


@given(marketplaces())
def test_a_marketplace_taken_apart_is_put_together_the_same(marketplace: dict[str, Any]) -> None:
    assert join(split(marketplace)) == marketplace


@given(st.lists(marketplaces(), max_size=6))
def test_a_history_leads_to_its_last_marketplace(history: list[dict[str, Any]]) -> None:
    stored: tuple[CatalogueItem, ...] = ()
    for marketplace in history:
        stored = applied(stored, marketplace)
        assert join(stored) == marketplace
        assert not changes(stored, split(marketplace))


@given(st.lists(st.none() | st.integers(-5000, 5000), max_size=12))
def test_positions_ascend_and_known_ones_stay_where_that_is_possible(
    known: list[int | None],
) -> None:
    placed = positions(known)
    assert len(placed) == len(known)
    assert all(left < right for left, right in pairwise(placed))
    kept = [new == old for new, old in zip(placed, known, strict=True) if old is not None]
    assert all(kept) or not has_room(known)


def has_room(known: list[int | None]) -> bool:
    fixed = [(index, position) for index, position in enumerate(known) if position is not None]
    return all(high - low >= right - left for (left, low), (right, high) in pairwise(fixed))


def applied(
    stored: tuple[CatalogueItem, ...], marketplace: dict[str, Any]
) -> tuple[CatalogueItem, ...]:
    difference = changes(stored, split(marketplace))
    kept = [item for item in stored if item.key not in difference.closed]
    return (*kept, *difference.added)
