"""Finding one's way in a marketplace's plain data, whatever shape it is in."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from config.faults import Step

Steps = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """One mapping of the data and where it stands. ``owner`` is the mapping whose list holds it."""

    steps: Steps
    data: Mapping[str, object]
    owner: "Item | None" = None

    @property
    def id(self) -> str | None:
        """The id when it is text, else None."""
        return text_of(self.data.get("id"))


def text_of(value: object) -> str | None:
    """The value when it is text, else None."""
    return value if isinstance(value, str) else None


def texts(value: object) -> list[str]:
    """The texts of a list; nothing when it is none."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def listed(parent: Item, key: str) -> Iterator[Item]:
    """The mappings in the list under ``key``; nothing when there is no list."""
    values = parent.data.get(key)
    for index, value in enumerate(values if isinstance(values, list | tuple) else ()):
        if isinstance(value, Mapping):
            yield Item((*parent.steps, key, index), value, parent)


def below(parent: Item | None, *keys: str) -> Item | None:
    """The mapping that ``keys`` lead to, None when there is none."""
    current = parent
    for key in keys:
        value = current.data.get(key) if current else None
        if current is None or not isinstance(value, Mapping):
            return None
        current = Item((*current.steps, key), value, current)
    return current


def offers(top: Item) -> Iterator[Item]:
    """Every offer of every buyer; an offer's owner is its buyer."""
    for buyer in listed(top, "buyers"):
        yield from listed(buyer, "offers")


def endpoints(offer: Item) -> Iterator[Item]:
    """The ping's and the post's endpoint, where the offer has them."""
    for key in ("ping", "post"):
        endpoint = below(offer, "ping_post", key)
        if endpoint is not None:
            yield endpoint
