"""What an object has to do with: what it names, what names it, what it shares values with."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Final

from auction.web.management.resources import BY_KIND, Reference, Resource, referrers
from auction.web.problems import Fault, invalid
from config.built_in_profiles import BUILT_IN
from config.marketplace import Marketplace
from config.plain_data import texts
from config.values import Model
from storage.catalogue_items import DELIVERY_PROFILE, MAIN, MARKETPLACE, CatalogueItem, Key
from storage.managing import CatalogueChange

NAMED_USERS: Final = 4
AT_ONCE: Final = 500


async def relatives_of(
    change: CatalogueChange, resource: Resource, item: CatalogueItem, before: CatalogueItem | None
) -> AsyncIterator[list[CatalogueItem]]:
    """All that an item is to be checked with, some at a time, owners of owned ones included.

    Raises CallerMistakeError: 422 where its own owner is not there.
    """
    found = await _named_by(change, resource, item, before)
    for share in resource.shares:
        values = _texts(item.document.get(share.own))
        found += await change.sharing(share.kind, share.key, values)
    naming = [] if before is None else _affected(resource, item, before)
    for other, reference in naming:
        if reference.path is None:
            found += await change.children(other.kind, item.id)
    close = await _with_owners(change, item, found)
    if resource.parent_kind and (resource.parent_kind, item.parent) not in close:
        raise invalid(Fault(resource.parent or "", f"names a {resource.parent} that is not there"))
    yield list(close.values())
    for other, reference in naming:
        mentioning = await _mentioning(change, reference, item, before) if before else None
        async for some in _naming(change, other, reference, item.id, mentioning):
            # What they say of one another may depend on all that they name.
            around = [*some, *await _named_by_all(change, some)]
            yield list({**close, **await _with_owners(change, item, around)}.values())


def _texts(value: object) -> list[str]:
    return [value] if isinstance(value, str) else texts(value)


async def users_of(change: CatalogueChange, kind: str, identifier: str) -> list[str]:
    """Some of the objects that name this one, such as ``offer acme-auto``."""
    found: list[CatalogueItem] = []
    for resource, reference in referrers(kind):
        found += await _users(change, resource, reference, identifier)
    told = [f"{BY_KIND[each.kind].title} {each.id}" for each in found]
    return told if len(told) < NAMED_USERS else [*told[: NAMED_USERS - 1], "and more"]


async def container_with(
    change: CatalogueChange, resource: Resource, owner: str | None
) -> list[CatalogueItem]:
    """The object that the file nests an item in, where it lacks the (empty) list for it as yet."""
    if owner is not None and resource.parent_kind is not None:
        held, model = (
            await change.item(resource.parent_kind, owner),
            BY_KIND[resource.parent_kind].model,
        )
        container = held.item if held else None
    else:
        held, model = await change.item(MARKETPLACE, MAIN), Marketplace
        container = held.item if held else CatalogueItem(MARKETPLACE, MAIN, {})
    missing = [
        name
        for name in (resource.list_name, *resource.makes)
        if container is not None and name not in container.document
    ]
    if container is None or not missing:
        return []
    document = _in_order(model, {**container.document, **{name: [] for name in missing}})
    return [replace(container, document=document)]


def _in_order(model: type[Model], document: Mapping[str, object]) -> dict[str, object]:
    keys = [info.alias or name for name, info in model.model_fields.items()]
    return {key: document[key] for key in keys if key in document}


async def _named_by(
    change: CatalogueChange,
    resource: Resource,
    item: CatalogueItem,
    before: CatalogueItem | None,
) -> list[CatalogueItem]:
    found: list[CatalogueItem] = []
    for reference in resource.references:
        names = {
            name
            for each in (item, before)
            if each is not None
            for name in names_at(each, reference)
        }
        found += await change.items(reference.kind, names)
    return found


async def _named_by_all(
    change: CatalogueChange, items: Iterable[CatalogueItem]
) -> list[CatalogueItem]:
    names: dict[str, set[str]] = {}
    for item in items:
        for reference in BY_KIND[item.kind].references:
            names.setdefault(reference.kind, set()).update(names_at(item, reference))
    return [each for kind, ids in names.items() if ids for each in await change.items(kind, ids)]


def _affected(
    resource: Resource, item: CatalogueItem, before: CatalogueItem
) -> list[tuple[Resource, Reference]]:
    """Whom a change may break of those that name the item."""
    return [
        (other, reference)
        for other, reference in referrers(resource.kind)
        if any(item.document.get(key) != before.document.get(key) for key in reference.matters)
    ]


async def _mentioning(
    change: CatalogueChange, reference: Reference, item: CatalogueItem, before: CatalogueItem
) -> Collection[str] | None:
    """What an object mentions, itself or by its delivery profile, that a change may break.

    None: any may be broken.
    """
    if not reference.harmful:
        return None
    new = {
        name
        for key in reference.matters
        for name in set(texts(item.document.get(key))) - set(texts(before.document.get(key)))
    }
    if not new:
        return ()
    built_in = [key for key, each in BUILT_IN.items() if any(name in repr(each) for name in new)]
    profiles = [*built_in, *await change.mentioning(DELIVERY_PROFILE, new)]
    return new | set(profiles)


async def _naming(
    change: CatalogueChange,
    resource: Resource,
    reference: Reference,
    identifier: str,
    mentioning: Collection[str] | None,
) -> AsyncIterator[list[CatalogueItem]]:
    """The objects that name another, some at a time: thousands at once would stop the loop."""
    if reference.path is None:
        return
    kind, path, after = resource.kind, _naming_path(reference.path), ""
    while some := await change.referring(kind, path, identifier, after, AT_ONCE, mentioning):
        yield some
        after = some[-1].id


async def _users(
    change: CatalogueChange, resource: Resource, reference: Reference, identifier: str
) -> list[CatalogueItem]:
    if reference.path is None:
        return (await change.children(resource.kind, identifier))[:NAMED_USERS]
    path = _naming_path(reference.path)
    return await change.referring(resource.kind, path, identifier, "", NAMED_USERS)


def _naming_path(path: str) -> str:
    return f"{path} ? (@ == $id)"


async def _with_owners(
    change: CatalogueChange, item: CatalogueItem, found: Iterable[CatalogueItem]
) -> dict[Key, CatalogueItem]:
    """The items and the owners of those that are owned, but for the one that they are of."""
    listed = list(found)
    wanted: dict[str, set[str]] = {}
    for each in listed:
        kind = BY_KIND[each.kind].parent_kind
        if kind is not None and each.parent is not None:
            wanted.setdefault(kind, set()).add(each.parent)
    for kind, ids in wanted.items():
        listed += await change.items(kind, ids)
    return {each.key: each for each in listed if each.key != item.key}


def names_at(item: CatalogueItem, reference: Reference) -> set[str]:
    """The ids that an item has at a reference's place."""
    if reference.path is None:
        return set() if item.parent is None else {item.parent}
    values: list[object] = [item.document]
    for key in reference.path.removeprefix("$.").replace("[*]", "").split("."):
        values = [value.get(key) for value in values if isinstance(value, Mapping)]
        values = [
            one for value in values for one in (value if isinstance(value, list) else [value])
        ]
    return {value for value in values if isinstance(value, str)}
