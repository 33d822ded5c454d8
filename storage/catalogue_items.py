"""The marketplace as rows: one item per campaign, source, buyer and offer, and one for the rest."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeAlias

MARKETPLACE = "marketplace"
MAIN = "main"
BUYER = "buyer"
CAMPAIGN = "campaign"
OFFER = "offer"
OFFERS = "offers"
SOURCE = "source"
POOL = "pool"
VOICE_AGENT = "voice_agent"
DELIVERY_PROFILE = "delivery_profile"
LISTS: Mapping[str, str] = {
    "campaigns": CAMPAIGN,
    "sources": SOURCE,
    "buyers": BUYER,
    "suppressions": "suppression",
    "numbers": "number",
    "pools": POOL,
    "voice_agents": VOICE_AGENT,
    "alerts": "alert",
    "delivery_profiles": DELIVERY_PROFILE,
}

# Room between two neighbours, so that a newcomer rarely moves anyone else.
STEP = 1024

Document: TypeAlias = Mapping[str, object]
Key: TypeAlias = tuple[str, str]
Group: TypeAlias = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class CatalogueItem:
    """One row. ``parent`` is an offer's buyer; ``position`` orders items of one kind and parent."""

    kind: str
    id: str
    document: Document
    parent: str | None = None
    position: int = 0

    @property
    def key(self) -> Key:
        """What no two items share."""
        return self.kind, self.id

    @property
    def group(self) -> Group:
        """What it shares with the items it is ordered among.

        Buyers that voice agents make come after all others.
        """
        made = self.kind == BUYER and self.document.get(VOICE_AGENT) is not None
        return self.kind, VOICE_AGENT if made else self.parent

    @property
    def text(self) -> str:
        """The document as it is stored; the order of its keys counts."""
        return json.dumps(self.document, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Changes:
    """What turns stored items into others: rows to close and rows to add."""

    closed: tuple[Key, ...]
    added: tuple[CatalogueItem, ...]

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.closed or self.added)


def split(marketplace: Document) -> tuple[CatalogueItem, ...]:
    """A marketplace's plain data as items. Raises ValueError for one without an id of its own."""
    rest, lists = _taken_apart(marketplace, LISTS)
    items = [CatalogueItem(MARKETPLACE, MAIN, rest)]
    for name, documents in lists.items():
        for item in _items(LISTS[name], documents):
            items += _with_offers(item) if item.kind == BUYER else [item]
    _check_unique(items)
    return tuple(items)


def join(items: Iterable[CatalogueItem]) -> dict[str, object]:
    """The plain data that ``split`` took apart, in the same order; empty without items.

    Raises ValueError when the buyer of an offer is missing.
    """
    groups = _grouped(items)
    main = groups.pop((MARKETPLACE, None), [])
    marketplace = dict(main[0].document) if main else {}
    for name, kind in LISTS.items():
        members = groups.pop((kind, None), [])
        if kind == BUYER:
            members += groups.pop((BUYER, VOICE_AGENT), [])
        documents = [_joined(item, groups) if kind == BUYER else item.document for item in members]
        if documents:
            marketplace[name] = documents
    if groups:
        message = f"these belong to nothing: {sorted(map(str, groups))}"
        raise ValueError(message)
    return marketplace


def changes(stored: Iterable[CatalogueItem], wanted: Iterable[CatalogueItem]) -> Changes:
    """What to close and to add so that ``stored`` becomes ``wanted``, moving as few as possible."""
    before = {item.key: item for item in stored}
    after = {item.key: item for item in _placed(wanted, before)}
    changed = {key for key, item in after.items() if not _same(before.get(key), item)}
    closed = tuple(key for key in before if key not in after or key in changed)
    return Changes(closed, tuple(after[key] for key in after if key in changed))


def _taken_apart(
    document: Document, names: Iterable[str]
) -> tuple[dict[str, object], dict[str, Sequence[object]]]:
    """A document with its lists emptied, so that their places are kept, and those lists."""
    lists = {
        name: value
        for name in names
        if isinstance(value := document.get(name), Sequence) and not isinstance(value, str)
    }
    return {**document, **{name: [] for name in lists}}, lists


def _items(
    kind: str, documents: Iterable[object], parent: str | None = None
) -> Iterator[CatalogueItem]:
    for position, document in enumerate(documents):
        identifier = document.get("id") if isinstance(document, Mapping) else None
        if not isinstance(document, Mapping) or not isinstance(identifier, str):
            message = f"{kind} number {position + 1} has no id"
            raise ValueError(message)
        yield CatalogueItem(kind, identifier, document, parent, position)


def _with_offers(buyer: CatalogueItem) -> list[CatalogueItem]:
    rest, lists = _taken_apart(buyer.document, (OFFERS,))
    offers = _items(OFFER, lists.get(OFFERS, ()), buyer.id)
    return [replace(buyer, document=rest), *offers]


def _joined(buyer: CatalogueItem, groups: dict[Group, list[CatalogueItem]]) -> dict[str, object]:
    offers = [item.document for item in groups.pop((OFFER, buyer.id), [])]
    return {**buyer.document, **({OFFERS: offers} if offers else {})}


def _grouped(items: Iterable[CatalogueItem]) -> dict[Group, list[CatalogueItem]]:
    groups: dict[Group, list[CatalogueItem]] = defaultdict(list)
    for item in items:
        groups[item.group].append(item)
    return {
        group: sorted(members, key=lambda item: item.position) for group, members in groups.items()
    }


def _placed(
    wanted: Iterable[CatalogueItem], before: Mapping[Key, CatalogueItem]
) -> Iterator[CatalogueItem]:
    for group, members in _grouped(wanted).items():
        known = [
            item.position if (item := before.get(member.key)) and item.group == group else None
            for member in members
        ]
        for member, position in zip(members, positions(known), strict=True):
            yield replace(member, position=position)


def positions(known: Sequence[int | None]) -> list[int]:
    """Ascending positions that keep the ``known`` ones, or all anew where these leave no room."""
    fixed = [(index, position) for index, position in enumerate(known) if position is not None]
    afresh = [(index + 1) * STEP for index in range(len(known))]
    if not fixed:
        return afresh
    first, last = fixed[0], fixed[-1]
    before = (-1, first[1] - (first[0] + 1) * STEP)
    after = (len(known), last[1] + (len(known) - last[0]) * STEP)
    placed: list[int] = []
    for (left, low), (right, high) in pairwise([before, *fixed, after]):
        if high - low < right - left:
            return afresh
        placed += [
            low + (high - low) * (at - left) // (right - left) for at in range(left + 1, right + 1)
        ]
    return placed[:-1]


def _same(stored: CatalogueItem | None, wanted: CatalogueItem) -> bool:
    return stored is not None and (
        (stored.parent, stored.position) == (wanted.parent, wanted.position)
        and stored.text == wanted.text
    )


def _check_unique(items: Iterable[CatalogueItem]) -> None:
    for (kind, identifier), count in Counter(item.key for item in items).items():
        if count > 1:
            message = f"{kind} {identifier!r} is there {count} times"
            raise ValueError(message)
