"""Offers found by the fields of a call: a tree of lookups that is made once and never changed.

Each offer stands under one filter on a text (``eq``, ``in`` or ``prefix``): the one that fewest
calls can be expected to pass. An offer without such a filter is looked at by every call.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from auction.domain.call_view import CallView
from auction.domain.compiled import CompiledOffer
from auction.domain.filters import Filter, Op

Part = tuple[str, int]
"""What is looked up: a field folded (0), or so many first characters of its text."""

Bucket = tuple[CompiledOffer, ...]

SPLIT_ABOVE: Final = 16
"""A bucket with more offers than this is split once more, where its offers have a filter left."""

MOST_LEVELS: Final = 4

MOST_COPIES: Final = 32
"""In how many buckets below the first level an offer may stand: so much memory is worth it."""


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
    nodes: Mapping[str, "Node"]


@dataclass(frozen=True, slots=True)
class Node:
    """Offers that every call which comes here looks at, and those that its fields lead to."""

    always: Bucket
    branches: tuple[_Branch, ...]

    def collect(self, view: CallView, found: list[CompiledOffer]) -> None:
        """Add the offers that a call is led to, in no order."""
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


def _keys(filters: Iterable[Filter]) -> tuple[_Key, ...]:
    keys: list[_Key] = []
    for condition in filters:
        if condition.op in {Op.EQ, Op.IN}:
            keys.append(_Key((condition.field, 0), condition.texts))
        elif condition.op is Op.PREFIX:
            part = condition.field, len(condition.prefix)
            keys.append(_Key(part, frozenset({condition.prefix})))
    return tuple(keys)


def tree_of(offers: Iterable[CompiledOffer]) -> Node:
    """The root of these offers' tree."""
    return _node([_Placed(each, _keys(each.terms.filters)) for each in offers], 1)


def _node(placed: Sequence[_Placed], level: int) -> Node:
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
    return Node(tuple(always), tuple(_branch(*part, level) for part in parts.items()))


def _usable(placed: _Placed, level: int) -> Sequence[_Key]:
    if level == 1:
        return placed.keys
    return [key for key in placed.keys if placed.copies * len(key.texts) <= MOST_COPIES]


def _branch(part: Part, lists: Mapping[str, Sequence[_Placed]], level: int) -> _Branch:
    """Texts that lead to the same offers share one bucket or node."""
    buckets: dict[str, Bucket] = {}
    nodes: dict[str, Node] = {}
    same: dict[Bucket, Bucket] = {}
    same_nodes: dict[Bucket, Node] = {}
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
