"""Ids for what an operator left without one: made from names, so that the same file gives the same ids."""

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import count

from config.plain_data import text_of

_NOT_IN_ID = re.compile(r"[^a-z0-9]+")
_LONGEST = 56

_Object = Mapping[str, object]


def with_ids(data: Mapping[str, object]) -> dict[str, object]:
    """The marketplace's plain data, every campaign, source, buyer, offer and webhook with an id.

    The data given is not changed. Whatever has the wrong shape is passed through for validation to refuse.
    """
    result = dict(data)
    taken_offers = set(_ids(offer for buyer in _objects(data, "buyers") for offer in _objects(buyer, "offers")))
    for key, kind in (("campaigns", "campaign"), ("sources", "source"), ("buyers", "buyer")):
        _fill(result, key, lambda item, kind=kind: _from_name(item, kind))
    for key in ("campaigns", "buyers"):
        _change_each(result, key, lambda owner: _filled(owner, "webhooks", _webhook_base(owner)))
    _change_each(result, "buyers", lambda buyer: _filled(buyer, "offers", _offer_base(buyer), taken_offers))
    return result


def _fill(
    owner: dict[str, object],
    key: str,
    base: Callable[[_Object], str],
    taken: set[str] | None = None,
) -> None:
    used = set(_ids(_objects(owner, key))) if taken is None else taken

    def named(item: _Object) -> _Object:
        if item.get("id") is not None:
            return item
        name = _unused(base(item), used)
        used.add(name)
        return {"id": name, **{k: v for k, v in item.items() if k != "id"}}

    _change_each(owner, key, named)


def _filled(
    owner: _Object, key: str, base: Callable[[_Object], str], taken: set[str] | None = None
) -> _Object:
    copy = dict(owner)
    _fill(copy, key, base, taken)
    return copy


def _change_each(
    owner: dict[str, object], key: str, change: Callable[[_Object], _Object]
) -> None:
    values = owner.get(key)
    if isinstance(values, list | tuple):
        owner[key] = [change(item) if isinstance(item, Mapping) else item for item in values]


def _objects(owner: _Object, key: str) -> list[_Object]:
    values = owner.get(key)
    return [item for item in values if isinstance(item, Mapping)] if isinstance(values, list | tuple) else []


def _ids(items: Iterable[_Object]) -> Iterable[str]:
    return (name for item in items if (name := text_of(item.get("id"))) is not None)


def _from_name(item: _Object, kind: str) -> str:
    return _slug(text_of(item.get("name")) or "") or kind


def _webhook_base(owner: _Object) -> Callable[[_Object], str]:
    return lambda _: f"{_slug(text_of(owner.get('id')) or '')}-webhook".lstrip("-")


def _offer_base(buyer: _Object) -> Callable[[_Object], str]:
    first = text_of(buyer.get("id")) or ""
    return lambda offer: _slug(f"{first}-{text_of(offer.get('campaign')) or ''}") or "offer"


def _slug(text: str) -> str:
    return _NOT_IN_ID.sub("-", text.lower())[:_LONGEST].strip("-")


def _unused(base: str, taken: set[str]) -> str:
    if base not in taken:
        return base
    return next(name for number in count(2) if (name := f"{base}-{number}") not in taken)
