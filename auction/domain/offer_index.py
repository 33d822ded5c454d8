"""Which offers of a campaign a call has to look at: found by its fields, not by asking each."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from auction.domain.call_view import CallView, OpeningHours
from auction.domain.compiled import CompiledOffer, Compiler
from auction.domain.eligibility import switched_off
from auction.domain.filters import Filter, Op
from auction.domain.ids import CampaignId
from auction.domain.terms import Catalogue, OfferTerms

Part = tuple[str, int]
"""What is looked up: a field folded (0), or so many first characters of its text."""

Bucket = tuple[CompiledOffer, ...]

SPLIT_ABOVE: Final = 16
"""A bucket with more offers than this is split once more, where its offers have a filter left."""

MOST_LEVELS: Final = 4

MOST_COPIES: Final = 32
"""In how many buckets below the first level an offer may stand: so much memory is worth it."""

_POSITION: Final = attrgetter("position")


@dataclass(frozen=True, slots=True)
class _Key:
    """A filter by which offers can be found: the texts of a part that it lets through."""

    part: Part
    texts: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Placed:
    """An offer on its way into the buckets, with the keys that are left of it."""

    offer: CompiledOffer
    keys: tuple[_Key, ...]
    copies: int = 1


@dataclass(frozen=True, slots=True)
class _Branch:
    """The offers that are found by one part; a text leads to a bucket, or on to another node."""

    field: str
    length: int
    buckets: Mapping[str, Bucket]
    nodes: Mapping[str, "_Node"]


@dataclass(frozen=True, slots=True)
class _Node:
    """Offers that every call which comes here looks at, and those that its fields lead to."""

    always: Bucket
    branches: tuple[_Branch, ...]

    def collect(self, view: CallView, found: list[CompiledOffer]) -> None:
        found += self.always
        for branch in self.branches:
            text = view.texts[branch.field] if branch.length else view.folded[branch.field]
            if text is None:
                continue
            key = text[: branch.length] if branch.length else text
            node = branch.nodes.get(key)
            if node is None:
                found += branch.buckets.get(key, ())
            else:
                node.collect(view, found)


class OfferIndex:
    """The offers of one campaign that are switched on and for sale, in the order of its offers.

    Each stands under one filter on a text (``eq``, ``in`` or ``prefix``): the one that fewest calls
    can be expected to pass. An offer without such a filter is looked at by every call.
    """

    __slots__ = ("_by_opening", "_root")

    def __init__(self, offers: Iterable[OfferTerms], compiler: Compiler) -> None:
        compiled = [
            compiler.compile(offer, position)
            for position, offer in enumerate(offers)
            if switched_off(offer) is None
        ]
        self._root = _node([_Placed(each, _keys(each.terms.filters)) for each in compiled], 1)
        self._by_opening = _by_opening(compiled)

    def candidates(self, view: CallView) -> list[CompiledOffer]:
        """Every offer whose fixed terms may allow the call; all others refuse it."""
        found: list[CompiledOffer] = []
        self._root.collect(view, found)
        found.sort(key=_POSITION)
        return found

    def allowed(self, view: CallView) -> list[CompiledOffer]:
        """The offers whose fixed terms allow the call."""
        return [each for each in self.candidates(view) if each.fixed_refusal(view) is None]

    def turned(self, before: CallView, now: CallView) -> Iterator[CompiledOffer]:
        """The offers whose hours do not say now what they said before."""
        for opening, offers in self._by_opening.items():
            if before.closed[opening] is not now.closed[opening]:
                yield from offers


def index_offers(catalogue: Catalogue) -> dict[CampaignId, OfferIndex]:
    """The index of every campaign."""
    compiler = Compiler()
    return {
        campaign.id: OfferIndex(campaign.offers, compiler)
        for campaign in catalogue.campaigns.values()
    }


def _by_opening(offers: Iterable[CompiledOffer]) -> dict[OpeningHours, Bucket]:
    found: dict[OpeningHours, list[CompiledOffer]] = {}
    for offer in offers:
        if offer.opening is not None:
            found.setdefault(offer.opening, []).append(offer)
    return {opening: tuple(each) for opening, each in found.items()}


def _keys(filters: Iterable[Filter]) -> tuple[_Key, ...]:
    keys: list[_Key] = []
    for condition in filters:
        if condition.op in {Op.EQ, Op.IN}:
            keys.append(_Key((condition.field, 0), condition.texts))
        elif condition.op is Op.PREFIX:
            part = condition.field, len(condition.prefix)
            keys.append(_Key(part, frozenset({condition.prefix})))
    return tuple(keys)


def _node(placed: Sequence[_Placed], level: int) -> _Node:
    """A node of these offers. A part with many texts splits best, a key with few of them most."""
    distinct: dict[Part, set[str]] = {}
    for each in placed:
        for key in _usable(each, level):
            distinct.setdefault(key.part, set()).update(key.texts)
    always: list[CompiledOffer] = []
    parts: dict[Part, dict[str, list[_Placed]]] = {}
    for each in placed:
        keys = _usable(each, level)
        if not keys:
            always.append(each.offer)
            continue
        best = min(keys, key=lambda key: len(key.texts) / len(distinct[key.part]))
        left = tuple(key for key in each.keys if key is not best)
        below = _Placed(each.offer, left, each.copies * (len(best.texts) if level > 1 else 1))
        for text in best.texts:
            parts.setdefault(best.part, {}).setdefault(text, []).append(below)
    return _Node(tuple(always), tuple(_branch(*part, level) for part in parts.items()))


def _usable(placed: _Placed, level: int) -> Sequence[_Key]:
    if level == 1:
        return placed.keys
    return [key for key in placed.keys if placed.copies * len(key.texts) <= MOST_COPIES]


def _branch(part: Part, lists: Mapping[str, Sequence[_Placed]], level: int) -> _Branch:
    """Texts that lead to the same offers share one bucket or node."""
    buckets: dict[str, Bucket] = {}
    nodes: dict[str, _Node] = {}
    same: dict[Bucket, Bucket] = {}
    same_nodes: dict[Bucket, _Node] = {}
    for text, placed in lists.items():
        bucket = tuple(each.offer for each in placed)
        bucket = same.setdefault(bucket, bucket)
        if not _splits(placed, level):
            buckets[text] = bucket
            continue
        if bucket not in same_nodes:
            same_nodes[bucket] = _node(placed, level + 1)
        nodes[text] = same_nodes[bucket]
    return _Branch(*part, buckets, nodes)


def _splits(placed: Sequence[_Placed], level: int) -> bool:
    if len(placed) <= SPLIT_ABOVE or level == MOST_LEVELS:
        return False
    return any(_usable(each, level + 1) for each in placed)
