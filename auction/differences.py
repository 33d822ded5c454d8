"""What a file changes in the marketplace, in lines for people."""

import json
from collections.abc import Iterable, Iterator, Mapping

from auction.web.management.fragments import shown
from auction.web.management.resources import BY_KIND
from config.faults import Step, render_path
from storage.catalogue_items import LISTS, MARKETPLACE, CatalogueItem, Changes

MOST_LINES = 200
MOST_VALUES = 6
LONGEST_VALUE = 60

Leaves = dict[tuple[Step, ...], object]


def differences(stored: Iterable[CatalogueItem], difference: Changes) -> list[str]:
    """A line for each object added (+), changed (~) or archived (-); no secret is shown."""
    before = {item.key: item for item in stored}
    after = {item.key: item for item in difference.added}
    told = [item for key, item in after.items() if _shows(before.get(key), item)]
    gone = [before[key] for key in difference.closed if key not in after]
    # What makes a line takes long: of thousands only those that are shown are made.
    lines = [_line(before.get(item.key), item) for item in told[:MOST_LINES]]
    lines += [f"- {_name(item)} (archived)" for item in gone[: MOST_LINES - len(lines)]]
    more = len(told) + len(gone) - len(lines)
    return [*lines, f"… and {more} more"] if more else lines


def _shows(before: CatalogueItem | None, after: CatalogueItem) -> bool:
    """Whether there is anything to tell: the order of keys and lists kept elsewhere are nothing."""
    return before is None or (
        (before.parent, before.position) != (after.parent, after.position)
        or _own(before) != _own(after)
    )


def _line(before: CatalogueItem | None, after: CatalogueItem) -> str:
    if before is None:
        return f"+ {_name(after)}"
    values = list(_changed(_leaves(_view(before)), _leaves(_view(after))))
    if not values:
        values = ["its place" if _own(before) == _own(after) else "a secret"]
    if len(values) > MOST_VALUES:
        values = [*values[:MOST_VALUES], f"and {len(values) - MOST_VALUES} more"]
    return f"~ {_name(after)}: {', '.join(values)}"


def _name(item: CatalogueItem) -> str:
    if item.kind == MARKETPLACE:
        return "the marketplace's settings"
    owner = f" of {item.parent}" if item.parent else ""
    return f"{BY_KIND[item.kind].title} {item.id}{owner}"


def _view(item: CatalogueItem) -> Mapping[str, object]:
    return _own(item) if item.kind == MARKETPLACE else shown(BY_KIND[item.kind], item)


def _own(item: CatalogueItem) -> Mapping[str, object]:
    """The document without the empty lists that keep places for other objects."""
    others = LISTS if item.kind == MARKETPLACE else BY_KIND[item.kind].nested
    return {key: value for key, value in item.document.items() if key not in others}


def _leaves(value: object, steps: tuple[Step, ...] = ()) -> Leaves:
    if isinstance(value, Mapping) and value:
        below = [_leaves(each, (*steps, key)) for key, each in value.items()]
    elif isinstance(value, list | tuple) and value:
        below = [_leaves(each, (*steps, index)) for index, each in enumerate(value)]
    else:
        return {steps: value}
    return {place: leaf for leaves in below for place, leaf in leaves.items()}


def _changed(before: Leaves, after: Leaves) -> Iterator[str]:
    for steps in dict.fromkeys((*before, *after)):
        old, new = _told(before, steps), _told(after, steps)
        if old != new:
            yield f"{render_path(steps)} {old} -> {new}"


def _told(leaves: Leaves, steps: tuple[Step, ...]) -> str:
    if steps not in leaves:
        return "none"
    text = json.dumps(leaves[steps], ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"
