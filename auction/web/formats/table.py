"""The formats an answer may have, and which one a request asks for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from aiohttp import hdrs, web

from auction.web.cdr_formats import quality_of
from auction.web.formats import kv, rtjson
from auction.web.formats.decision import Decision
from auction.web.problems import Fault, invalid

JSON: Final = "application/json"

_MOST_RANGES: Final = 32
_PLAIN: Final = frozenset({None, "*/*", JSON})


class FormatName(StrEnum):
    """What ``format=`` may say."""

    JSON = "json"
    KV = "kv"
    RTJSON = "rtjson"


@dataclass(frozen=True, slots=True)
class Format:
    """One switch's way to be told. ``media_type``: what an Accept header calls it."""

    name: FormatName
    media_type: str
    content_type: str
    render: Callable[[Decision], bytes]


def _as_stored(decision: Decision) -> bytes:
    return decision.json


FORMATS: Final = {
    each.name: each
    for each in (
        Format(FormatName.JSON, JSON, JSON, _as_stored),
        Format(
            FormatName.KV,
            "application/x-www-form-urlencoded",
            "application/x-www-form-urlencoded",
            kv.render,
        ),
        Format(
            FormatName.RTJSON,
            "application/vnd.pingpost.rtjson+json",
            JSON,
            rtjson.render,
        ),
    )
}


def asked_format(request: web.Request) -> Format | None:
    """The format that a request names in ``format=`` or its Accept header; None: plain JSON.

    Raises CallerMistakeError: 422 for a name that is none.
    """
    accept = request.headers.get(hdrs.ACCEPT)
    if not request.query_string:
        return None if accept in _PLAIN else accepted_format(accept)
    name = request.query.get("format")
    if not name:
        return accepted_format(accept)
    form = _BY_NAME.get(name)
    if form is None:
        raise invalid(Fault("format", f"must be one of {', '.join(_BY_NAME)}"))
    return form


def accepted_format(accept: str | None) -> Format | None:
    """What an Accept header likes best of what there is; None: plain JSON, or none of it."""
    best: Format | None = None
    best_quality = 0.0
    for media_range in (accept or "").split(",")[:_MOST_RANGES]:
        name, *parameters = (part.strip().lower() for part in media_range.split(";"))
        quality = quality_of(parameters)
        if name in _BY_MEDIA_TYPE and quality > best_quality:
            best, best_quality = _BY_MEDIA_TYPE[name], quality
    return best


_BY_NAME: Final[Mapping[str, Format]] = {name.value: each for name, each in FORMATS.items()}
_BY_MEDIA_TYPE: Final[Mapping[str, Format | None]] = {
    **{each.media_type: each for each in FORMATS.values()},
    JSON: None,
    "*/*": None,
}
