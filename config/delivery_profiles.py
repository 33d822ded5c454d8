"""Delivery profiles: templates of ping-post settings that offers take by name.

What an offer writes itself wins: key by key, and within ``ping`` and ``post`` again key by key.
What it has written is all that is stored and exported; the profile is looked up whenever it is
read.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)

from auction.domain.terms import OnUnknown
from config.built_in_profiles import BUILT_IN
from config.endpoints import PingEndpoint, PingPost, PostEndpoint
from config.faults import mistake
from config.request_parts import FieldMapping
from config.values import Identifier, Model, Money, Name, Seconds, check_identifier

Settings = Mapping[str, object]

PROFILES: Final = "delivery_profiles"
ENDS: Final = ("ping", "post")
_OFFERS_OWN: Final = ("auth", "hash_key", "hash")
_SOMEWHERE: Final = "http://buyer.invalid/"
"""Stands for the address that an offer gives, while a profile alone is looked at."""

_known: ContextVar[Mapping[str, Settings]] = ContextVar("delivery profiles", default=BUILT_IN)


def known_profiles(data: Mapping[str, object]) -> Mapping[str, Settings]:
    """The built-in profiles and those of a marketplace's plain data."""
    listed = data.get(PROFILES)
    own = listed if isinstance(listed, list | tuple) else ()
    named = {
        each["id"]: {key: value for key, value in each.items() if key not in {"id", "name"}}
        for each in own
        if isinstance(each, Mapping) and isinstance(each.get("id"), str)
    }
    return {**named, **BUILT_IN}


@contextmanager
def knowing(profiles: Mapping[str, Settings]) -> Iterator[None]:
    """What offers name is found among these while models are read in here."""
    token = _known.set(profiles)
    try:
        yield
    finally:
        _known.reset(token)


def merged(written: Settings, profile: Settings) -> dict[str, object]:
    """A profile's settings under what an offer has written.

    A post that only the profile has is left out: it has no address.
    """
    result = {**profile, **written}
    for end in ENDS:
        template, own = profile.get(end), written.get(end)
        if isinstance(template, Mapping) and isinstance(own, Mapping):
            result[end] = {**template, **own}
    if "post" not in written:
        result.pop("post", None)
    return result


def expanded(data: Mapping[str, object]) -> Mapping[str, object]:
    """Plain data with the settings of profiles in place; what has another shape stays as it is."""
    profiles = known_profiles(data)
    buyers = data.get("buyers")
    if not isinstance(buyers, list | tuple):
        return data
    return {**data, "buyers": [_expanded_buyer(each, profiles) for each in buyers]}


def _expanded_buyer(buyer: object, profiles: Mapping[str, Settings]) -> object:
    offers = buyer.get("offers") if isinstance(buyer, Mapping) else None
    if not isinstance(buyer, Mapping) or not isinstance(offers, list | tuple):
        return buyer
    return {**buyer, "offers": [_expanded_offer(each, profiles) for each in offers]}


def _expanded_offer(offer: object, profiles: Mapping[str, Settings]) -> object:
    terms = offer.get("ping_post") if isinstance(offer, Mapping) else None
    if not isinstance(offer, Mapping) or not isinstance(terms, Mapping):
        return offer
    profile = _profile_of(terms, profiles)
    return offer if profile is None else {**offer, "ping_post": merged(terms, profile)}


def _profile_of(terms: Settings, profiles: Mapping[str, Settings]) -> Settings | None:
    name = terms.get("profile")
    return profiles.get(name) if isinstance(name, str) else None


def _read_terms(value: object, read: ValidatorFunctionWrapHandler) -> PingPost:
    """The settings with those of the profile; what is told as set is what was written."""
    if not isinstance(value, Mapping) or value.get("profile") is None:
        plain: PingPost = read(value)
        return plain
    profile = _profile_of(value, _known.get())
    whole: PingPost = read(merged(value, _stand_in(value) if profile is None else profile))
    _keep_set(whole, value)
    return whole


def _stand_in(written: Settings) -> Settings:
    """What a profile that is not known yet could give: whoever has the whole file tells of it."""
    return {"ping": {"url": _SOMEWHERE}, "post": {"url": _SOMEWHERE}} if written else {}


def _keep_set(whole: PingPost, written: Settings) -> None:
    whole.model_fields_set.intersection_update(written)
    for end in ENDS:
        endpoint, own = getattr(whole, end), written.get(end)
        if isinstance(endpoint, BaseModel) and isinstance(own, Mapping):
            endpoint.model_fields_set.intersection_update(own)


ProfiledPingPost = Annotated[PingPost, WrapValidator(_read_terms)]
"""Ping-post settings, those of a profile under what is written."""


def _read_end(value: object, read: ValidatorFunctionWrapHandler) -> object:
    if not isinstance(value, Mapping):
        return read(value)
    for key in _OFFERS_OWN:
        if key in value:
            raise mistake("stands with each offer: a profile holds no secrets", key)
    end: PingEndpoint | PostEndpoint = read({"url": _SOMEWHERE, **value})
    end.model_fields_set.intersection_update(value)
    return end


def _not_built_in(name: str) -> str:
    if name in BUILT_IN:
        raise mistake("is the name of a built-in profile: choose another")
    return check_identifier(name)


class DeliveryProfile(Model):
    """Ping-post settings that offers take by ``profile: <id>``; addresses may be left to them."""

    id: Annotated[Identifier, AfterValidator(_not_built_in)]
    name: Name = ""
    fixed_amount: Money | None = None
    bid_valid_s: Seconds | None = None
    on_unknown: OnUnknown | None = None
    transport: Literal["native", "aiohttp"] | None = None
    mapping: FieldMapping = None
    ping: Annotated[PingEndpoint, WrapValidator(_read_end)] | None = None
    post: Annotated[PostEndpoint, WrapValidator(_read_end)] | None = None

    @field_validator("bid_valid_s", "on_unknown", "transport", mode="before")
    @classmethod
    def _given(cls, value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401 - whatever was written
        if value is None:
            raise mistake(f"is missing: leave {info.field_name} out for the usual")
        return value
