"""Changing one object of the marketplace: checked, sealed, made a revision in one transaction."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from auction.web import problems
from auction.web.management.entailed import LEASED, entailed_by, entailed_by_end
from auction.web.management.fragments import (
    check_among,
    named,
    shown,
    told,
    unwrap,
    validated,
    wrap,
)
from auction.web.management.relatives import container_with, relatives_of, users_of
from auction.web.management.resources import Resource
from auction.web.problems import CallerMistakeError, Fault, invalid
from config.faults import ConfigError
from config.identifiers import unused
from config.merging import merged
from config.sealing import seal
from config.secret_box import SecretBox
from config.values import is_identifier
from storage.catalogue import About
from storage.catalogue_items import CatalogueItem
from storage.managing import CatalogueChange, HeldItem

Document = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Draft:
    """A document on its way into storage; ``held`` is what it replaces."""

    resource: Resource
    document: Document
    owner: str | None
    held: HeldItem | None = None

    @classmethod
    def of(cls, resource: Resource, content: Document, held: HeldItem | None = None) -> "Draft":
        """The draft behind the API's JSON. Raises CallerMistakeError: 422."""
        document = dict(content)
        faults = [
            Fault(key, "can't stand here: each has a path of its own")
            for key in resource.nested
            if document.pop(key, None) is not None
        ]
        owner = _owner(resource, document)
        if isinstance(owner, Fault):
            raise invalid(*faults, owner)
        if faults:
            raise invalid(*faults)
        return cls(resource, document, owner, held)


async def create(change: CatalogueChange, draft: Draft, box: SecretBox, about: About) -> HeldItem:
    """Add an object. Raises CallerMistakeError: 409 where there is one of its id, 422."""
    if draft.document.get("id") is None:
        draft = await _with_id(change, draft)
    identifier = draft.document.get("id")
    usable = isinstance(identifier, str) and is_identifier(identifier)
    if usable and await change.item(draft.resource.kind, str(identifier)) is not None:
        message = f"There is {draft.resource.one} of this id: change it, or choose another."
        raise CallerMistakeError(problems.EXISTS, message)
    return await put(change, draft, box, about)


async def put(change: CatalogueChange, draft: Draft, box: SecretBox, about: About) -> HeldItem:
    """Make a draft the object in force, which is returned; the same one where nothing differs.

    Raises CallerMistakeError: 422 with every fault.
    """
    held = draft.held
    item = await asyncio.to_thread(_read, draft, box)
    if held is not None and (held.item.parent, held.item.text) == (item.parent, item.text):
        return held
    before = None if held is None else held.item
    if before is not None and before.parent == item.parent:
        item = replace(item, position=before.position)
    else:
        item = replace(item, position=await change.next_position(item.kind, item.parent))
    async for relatives in relatives_of(change, draft.resource, item, before):
        await asyncio.to_thread(check_among, item, before, relatives)
    container = await container_with(change, draft.resource, item.parent)
    entailed = await entailed_by(change, item, before)
    added = [item, *container, *entailed.added]
    closed = [each.key for each in (*([before] if before else []), *container)]
    since = await change.save([*closed, *entailed.closed], added, about)
    return HeldItem(item, since, entailed.told)


async def rehearse(change: CatalogueChange, draft: Draft, box: SecretBox, about: About) -> None:
    """Raises CallerMistakeError as ``put`` does, and leaves everything as it is.

    But not for what may be over when the change is due: numbers that visitors hold now.
    """
    attempt = change.connection.transaction()
    await attempt.start()
    try:
        await put(change, draft, box, about)
    except CallerMistakeError as mistake:
        if mistake.kind is not LEASED:
            raise
    finally:
        await attempt.rollback()


async def delete(
    change: CatalogueChange, resource: Resource, item: CatalogueItem, about: About
) -> int:
    """Take an object off the marketplace; its revisions stay. Raises CallerMistakeError: 409."""
    entailed = await entailed_by_end(change, item)
    users = await users_of(change, resource.kind, item.id)
    if users:
        raise CallerMistakeError(
            problems.IN_USE, f"It can't be deleted while these refer to it: {', '.join(users)}."
        )
    return await change.save([item.key, *entailed.closed], entailed.added, about)


def patched(resource: Resource, held: HeldItem, patch: Document) -> Draft:
    """The draft that a merge patch makes of an object. Raises CallerMistakeError: 422."""
    content = merged(shown(resource, held.item), patch)
    assert isinstance(content, Mapping), "a patch that is an object makes an object"
    return Draft.of(resource, with_same_id(content, held.item.id), held)


def with_same_id(content: Document, identifier: str) -> dict[str, object]:
    """The content with its id. Raises CallerMistakeError (422) when it names another."""
    if content.get("id", identifier) != identifier:
        raise invalid(Fault("id", "can't be changed: create another and delete this one"))
    return {"id": identifier, **{key: each for key, each in content.items() if key != "id"}}


def unknown(resource: Resource, revision: int | None = None) -> CallerMistakeError:
    """There is no such object, or was none at a revision: 404."""
    then = "" if revision is None else f" at revision {revision}"
    message = f"There is no {resource.title} of this id{then}."
    return CallerMistakeError(problems.NOT_FOUND, message)


def _owner(resource: Resource, document: dict[str, object]) -> str | Fault | None:
    if resource.parent is None:
        return None
    owner = document.pop(resource.parent, None)
    if owner is None:
        return Fault(resource.parent, "is missing")
    if not isinstance(owner, str) or not is_identifier(owner):
        return Fault(resource.parent, "must be an id: 1 to 64 letters, digits or any of _ . : -")
    return owner


async def _with_id(change: CatalogueChange, draft: Draft) -> Draft:
    document = named(draft.resource, draft.document, draft.owner)
    base = document["id"]
    assert isinstance(base, str), "an id was made"
    identifier = unused(base, await change.ids_like(draft.resource.kind, base))
    return replace(draft, document={**document, "id": identifier})


def _read(draft: Draft, box: SecretBox) -> CatalogueItem:
    """The item to be stored, its position left open. Raises CallerMistakeError: 422."""
    resource, owner, held = draft.resource, draft.owner, draft.held
    document = validated(resource, named(resource, draft.document, owner), owner)
    stored = None if held is None else wrap(resource, held.item.document, held.item.parent)
    try:
        sealed = seal(wrap(resource, document, owner), box, stored)
    except ConfigError as error:
        raise told(resource, error) from None
    document = unwrap(resource, sealed)
    for key in resource.nested:
        # The empty list keeps the place of what is stored apart from it.
        if held is None or key in held.item.document:
            document[key] = []
    identifier = document["id"]
    assert isinstance(identifier, str), "it was validated"
    return CatalogueItem(resource.kind, identifier, document, owner)
