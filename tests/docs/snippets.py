"""YAML of the documentation as whole files: what a piece leaves out is filled in around it."""

from collections.abc import Iterator, Mapping
from typing import Final

from pydantic import BaseModel

from buyers.simulator.models import BuyerScript, Script
from config.endpoints import PingPost
from config.marketplace import Campaign, Marketplace
from config.offers import Offer

Plain = dict[str, object]

_URL = "https://buyer.example/ping"
_PING_POST: Plain = {"ping": {"url": _URL}, "post": {"url": _URL}}
_KINDS: Final[Mapping[str, type[BaseModel]]] = {
    "marketplace": Marketplace,
    "offer": Offer,
    "campaign": Campaign,
    "ping_post": PingPost,
    "script": Script,
    "simulated buyer": BuyerScript,
}


def kind_of(data: Mapping[str, object], said: str | None) -> str | None:
    """What a piece is a part of: as the page says, else the first whose keys it has; or None."""
    if said is not None:
        return said
    if data.keys() == {"dialect"}:
        return "dialect"
    for kind, model in _KINDS.items():
        keys = {info.alias or name for name, info in model.model_fields.items()}
        if data and data.keys() <= keys:
            return kind
    return None


def whole_marketplace(kind: str, data: Plain) -> Plain:
    """A marketplace that holds the piece, and the objects that it refers to."""
    if kind == "marketplace":
        return _with_what_is_named(data)
    campaign: Plain = {"id": "auto-insurance", **(data if kind == "campaign" else {})}
    offer: Plain = {"id": "acme-auto", "campaign": "auto-insurance", "static_price": "18.00"}
    offer["destination"] = {"uri": "sip:sales@acme.example"}
    if kind == "offer":
        offer |= data
        offer |= {"ping_post": _completed(data["ping_post"])} if "ping_post" in data else {}
    if kind == "ping_post":
        offer["ping_post"] = _completed(data)
    buyers = [{"id": "acme", "offers": [offer]}]
    return _with_what_is_named({"campaigns": [campaign], "buyers": buyers})


def whole_script(kind: str, data: Plain) -> Plain:
    """A script for simulated buyers that holds the piece."""
    if kind == "script":
        return data
    part = {"ping": data} if kind == "dialect" else data
    return {"buyers": [{"name": "acme", **part}]}


def _completed(ping_post: object) -> object:
    if not isinstance(ping_post, dict):
        return ping_post
    if "post" not in ping_post and "ping" in ping_post:
        return ping_post
    return {**_PING_POST, **ping_post}


def _with_what_is_named(data: Plain) -> Plain:
    """With a campaign, source, buyer and offer of every name that the piece uses and lacks."""
    buyers = [*_listed(data, "buyers")]
    for buyer in buyers:
        for offer in _listed(buyer, "offers"):
            if isinstance(offer.get("ping_post"), dict):
                offer["ping_post"] = _completed(offer["ping_post"])
            offer.setdefault("destination", {"uri": "tel:+18885550142"})
            offer.setdefault("campaign", "auto-insurance")
    offers = set(_values(data, "offer")) | set(_values(data, "offers"))
    missing = offers - {
        str(offer.get("id")) for each in buyers for offer in _listed(each, "offers")
    }
    more = {"id": "another", "offers": [_static(name) for name in sorted(missing)]}
    named = [{"id": name} for name in _lacking(data, "buyers", "buyer")]
    campaigns = [*_listed(data, "campaigns")]
    sources = [*_listed(data, "sources")]
    whole = {**data, "buyers": [*buyers, *named, more]}
    campaigns += [{"id": name} for name in _lacking(whole, "campaigns", "campaign")]
    sources += [{"id": name} for name in _lacking(whole, "sources", "source") if name != "*"]
    return {**whole, "campaigns": campaigns, "sources": sources}


def _static(name: str) -> Plain:
    destination = {"uri": "tel:+18885550142"}
    return {"id": name, "campaign": "auto-insurance", "static_price": 1, "destination": destination}


def _lacking(data: Plain, listed: str, key: str) -> list[str]:
    there = {str(each.get("id")) for each in _listed(data, listed)}
    return sorted(set(_values(data, key)) - there)


def _listed(data: Plain, key: str) -> list[Plain]:
    entries = data.get(key)
    return [each for each in entries if isinstance(each, dict)] if isinstance(entries, list) else []


def _values(data: object, key: str) -> Iterator[str]:
    """Texts anywhere under this key; templates, field names of filters and the like are dicts."""
    if isinstance(data, Mapping):
        for name, value in data.items():
            texts = value if isinstance(value, list) else [value]
            if name == key:
                yield from (each for each in texts if isinstance(each, str))
            if name not in {"body", "query", "headers", "mapping", "response", "weekly"}:
                yield from _values(value, key)
    elif isinstance(data, list):
        for each in data:
            yield from _values(each, key)
