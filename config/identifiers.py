"""Ids for what has none: made from names, so that the same file gives the same ids."""

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import count

from config.plain_data import text_of

_NOT_IN_ID = re.compile(r"[^a-z0-9]+")
_LONGEST = 56

_Object = Mapping[str, object]


def with_ids(data: Mapping[str, object]) -> dict[str, object]:
    """The marketplace's plain data, everything in its lists with an id.

    The data given is not changed. What has the wrong shape is passed on for validation to refuse.
    """
    result = dict(data)
    buyers = _objects(data, "buyers")
    offer_ids = set(_ids(offer for buyer in buyers for offer in _objects(buyer, "offers")))
    _fill(result, "campaigns", _from_name("campaign"))
    _fill(result, "sources", _from_name("source"))
    _fill(result, "buyers", _from_name("buyer"))
    _fill(result, "suppressions", _from_name("suppression"))
    _fill(result, "numbers", _from_number)
    _fill(result, "pools", _from_name("pool"))
    _fill(result, "voice_agents", _from_name("voice-agent"))
    _fill(result, "alerts", _from_name("alert"))
    _fill(result, "delivery_profiles", _from_name("profile"))
    for key in ("campaigns", "buyers"):
        _change_each(result, key, _with_webhook_ids)
    _change_each(result, "buyers", lambda buyer: _with_offer_ids(buyer, offer_ids))
    return result


def _with_webhook_ids(owner: _Object) -> _Object:
    copy = dict(owner)
    base = f"{_slug(text_of(owner.get('id')) or '')}-webhook".lstrip("-")
    _fill(copy, "webhooks", lambda _: base)
    return copy


def _with_offer_ids(buyer: _Object, taken: set[str]) -> _Object:
    copy = dict(buyer)
    first = text_of(buyer.get("id")) or ""
    _fill(
        copy,
        "offers",
        lambda offer: _slug(f"{first}-{text_of(offer.get('campaign')) or ''}") or "offer",
        taken,
    )
    return copy


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
        name = unused(base(item), used)
        used.add(name)
        return {"id": name, **{k: v for k, v in item.items() if k != "id"}}

    _change_each(owner, key, named)


def _change_each(owner: dict[str, object], key: str, change: Callable[[_Object], _Object]) -> None:
    values = owner.get(key)
    if isinstance(values, list | tuple):
        owner[key] = [change(item) if isinstance(item, Mapping) else item for item in values]


def _objects(owner: _Object, key: str) -> list[_Object]:
    values = owner.get(key)
    listed = values if isinstance(values, list | tuple) else ()
    return [item for item in listed if isinstance(item, Mapping)]


def _ids(items: Iterable[_Object]) -> Iterable[str]:
    return (name for item in items if (name := text_of(item.get("id"))) is not None)


def _from_name(kind: str) -> Callable[[_Object], str]:
    return lambda item: _slug(text_of(item.get("name")) or "") or kind


def _from_number(item: _Object) -> str:
    return _slug(text_of(item.get("name")) or text_of(item.get("number")) or "") or "number"


def _slug(text: str) -> str:
    return _NOT_IN_ID.sub("-", text.lower())[:_LONGEST].strip("-")


def unused(base: str, taken: set[str]) -> str:
    """``base`` if nothing is called so, else with the first number behind it that is free."""
    if base not in taken:
        return base
    return next(name for number in count(2) if (name := f"{base}-{number}") not in taken)
