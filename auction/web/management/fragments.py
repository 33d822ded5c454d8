"""Documents of the API as the smallest marketplaces that hold them, for what is made for files."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from itertools import islice

from pydantic import ValidationError

from auction.redaction import mask_numbers
from auction.web.management.resources import BY_KIND, Resource
from auction.web.problems import CallerMistakeError, Fault, invalid
from config import faults as config_faults
from config.delivery_profiles import PROFILES, expanded
from config.faults import ConfigError, Step, faults_of, render_path
from config.identifiers import with_ids
from config.known_keys import keys_at
from config.marketplace import Marketplace, to_plain
from config.references import reference_faults
from config.sealing import hide
from storage.catalogue_items import CatalogueItem, join

Document = Mapping[str, object]
Steps = tuple[Step, ...]

MOST_FAULTS = 50
_BEHIND_ALL = 2**62


def wrap(resource: Resource, document: Document, owner: str | None) -> dict[str, object]:
    """The marketplace that holds nothing but a document, and its owner's id where it has one."""
    if owner is None or resource.parent_kind is None:
        return {resource.list_name: [document]}
    listed = {"id": owner, resource.list_name: [document]}
    return {BY_KIND[resource.parent_kind].list_name: [listed]}


def unwrap(resource: Resource, data: object) -> dict[str, object]:
    """The document that ``wrap`` was given."""
    for step in steps_to(resource):
        data = data[step]  # type: ignore[index] # by these steps wrap has laid it out
    assert isinstance(data, Mapping), "wrap was given a mapping"
    return dict(data)


def steps_to(resource: Resource) -> Steps:
    """Where ``wrap`` puts a document."""
    if resource.parent_kind is None:
        return resource.list_name, 0
    return BY_KIND[resource.parent_kind].list_name, 0, resource.list_name, 0


def shown(resource: Resource, item: CatalogueItem) -> dict[str, object]:
    """An item as the API shows it: secrets as in an export, the owner after the id."""
    document = unwrap(resource, hide(wrap(resource, item.document, item.parent)))
    for key in resource.nested:
        document.pop(key, None)
    if resource.parent is None:
        return document
    rest = {key: value for key, value in document.items() if key != "id"}
    return {"id": item.id, resource.parent: item.parent, **rest}


def shown_patch(resource: Resource, patch: Document, owner: str | None) -> dict[str, object]:
    """A merge patch with its secrets as in an export."""
    return unwrap(resource, hide(wrap(resource, patch, owner)))


def named(resource: Resource, document: Document, owner: str | None) -> dict[str, object]:
    """The document with every id that it lacks, made from names as for a file."""
    return unwrap(resource, with_ids(wrap(resource, document, owner)))


def validated(resource: Resource, document: Document, owner: str | None) -> dict[str, object]:
    """The document as it is stored, but its secrets as given. Raises CallerMistakeError: 422."""
    data = wrap(resource, document, owner)
    try:
        marketplace = Marketplace.model_validate(data)
    except ValidationError as error:
        found = faults_of(error, expanded(data), partial(keys_at, Marketplace))
        raise refused(resource, found) from None
    return unwrap(resource, to_plain(marketplace, as_given=True))


def refused(resource: Resource, found: Iterable[config_faults.Fault]) -> CallerMistakeError:
    """The answer to faults in a document that ``wrap`` has laid out."""
    depth = len(steps_to(resource))
    told = islice(found, MOST_FAULTS)
    return invalid(*(fault_at(each.steps[depth:], each.message) for each in told))


def fault_at(steps: Steps, message: str) -> Fault:
    """A fault with its path as an operator reads it."""
    return Fault(mask_numbers(render_path(steps)), message)


def check_among(
    item: CatalogueItem, before: CatalogueItem | None, relatives: Iterable[CatalogueItem]
) -> None:
    """Raises CallerMistakeError (422) when an item does not fit what it has to do with.

    Faults that its relatives have anyway don't count.
    """
    around = list(relatives)
    item, before = _last(item), _last(before) if before else None
    data = join([*around, item])
    own = _steps_in(data, item)
    found = list(_faults_among(data, own))
    if not found:
        return
    nested = BY_KIND[item.kind].nested
    own_faults = [each for each in found if _in(each, own, nested)]
    within = [fault_at(each.steps[len(own) :], each.message) for each in own_faults]
    others = [each for each in found if each not in own_faults]
    if others:
        known = set(_known_faults(around, before))
        within += [
            Fault("", f"would break {each.within or 'another object'}, {each.path}: {each.message}")
            for each in others
            if each not in known
        ]
    if within:
        raise invalid(*within[:MOST_FAULTS])


def _last(item: CatalogueItem) -> CatalogueItem:
    """Of two that collide the later is blamed: the one that changes."""
    return replace(item, position=_BEHIND_ALL)


def _known_faults(
    around: list[CatalogueItem], before: CatalogueItem | None
) -> Iterable[config_faults.Fault]:
    """What was wrong without the change; owners of what is owned are among the relatives."""
    if before is None:
        return reference_faults(join(around))
    data = join([*around, before])
    return _faults_among(data, _steps_in(data, before))


def _faults_among(data: Mapping[str, object], own: Steps) -> Iterable[config_faults.Fault]:
    """Of top-level objects only the one that has changed is validated: no other one knows it.

    But for delivery profiles, whose settings are those of the offers that take them.
    """
    name, index = own[:2]
    listed = data[str(name)]
    assert isinstance(listed, list), "join makes lists"
    knows = "buyers" if name == PROFILES else PROFILES
    data_with_it = {knows: data.get(knows, []), str(name): [listed[int(index)]]}
    try:
        Marketplace.model_validate(data_with_it)
    except ValidationError as error:
        for fault in faults_of(error, expanded(data_with_it), partial(keys_at, Marketplace)):
            own_list = fault.steps[:1] == (name,)
            yield replace(fault, steps=(name, index, *fault.steps[2:])) if own_list else fault
    yield from reference_faults(data)


def _in(fault: config_faults.Fault, steps: Steps, nested: tuple[str, ...]) -> bool:
    within, below = fault.steps[: len(steps)] == steps, fault.steps[len(steps) :]
    return within and not (below and below[0] in nested)


def _steps_in(data: Mapping[str, object], item: CatalogueItem) -> Steps:
    resource = BY_KIND[item.kind]
    steps: Steps = ()
    owners = [(resource.list_name, item.id)]
    if resource.parent_kind is not None:
        owners.insert(0, (BY_KIND[resource.parent_kind].list_name, item.parent or ""))
    place: object = data
    for name, identifier in owners:
        listed = place[name]  # type: ignore[index] # join has laid it out
        index = next(at for at, each in enumerate(listed) if each["id"] == identifier)
        place, steps = listed[index], (*steps, name, index)
    return steps


def told(resource: Resource, error: ConfigError) -> CallerMistakeError:
    """The answer to a document that config has refused."""
    return refused(resource, error.faults)
