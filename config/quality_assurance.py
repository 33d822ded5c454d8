"""Buyers of type quality_assurance: saving one destroys its conversion rules, and says so."""

from collections.abc import Mapping
from typing import Final

from config.faults import Fault, Step, place
from config.plain_data import Item, listed

QUALITY_ASSURANCE: Final = "quality_assurance"
CONVERSIONS: Final = "conversions"

DESTROYED: Final = "destroyed: a buyer of type quality_assurance has no conversion rules"


def without_conversions(
    data: Mapping[str, object],
) -> tuple[dict[str, object], tuple[Fault, ...]]:
    """A marketplace's plain data without such rules, and where some stood; ``data`` stays as is."""
    found = tuple(_standing(data))
    if not found:
        return dict(data), ()
    buyers = data.get("buyers")
    listed_buyers = buyers if isinstance(buyers, list | tuple) else ()
    stripped = [_stripped(buyer) for buyer in listed_buyers]
    return {**data, "buyers": stripped}, tuple(place(data, steps, DESTROYED) for steps in found)


def _standing(data: Mapping[str, object]) -> list[tuple[Step, ...]]:
    return [
        (*offer.steps, CONVERSIONS)
        for buyer in listed(Item((), data), "buyers")
        if buyer.data.get("type") == QUALITY_ASSURANCE
        for offer in listed(buyer, "offers")
        if offer.data.get(CONVERSIONS)
    ]


def _stripped(buyer: object) -> object:
    if not isinstance(buyer, Mapping) or buyer.get("type") != QUALITY_ASSURANCE:
        return buyer
    offers = buyer.get("offers")
    if not isinstance(offers, list | tuple):
        return buyer
    return {**buyer, "offers": [_without_rules(offer) for offer in offers]}


def _without_rules(offer: object) -> object:
    if not isinstance(offer, Mapping) or CONVERSIONS not in offer:
        return offer
    return {key: value for key, value in offer.items() if key != CONVERSIONS}
