"""The formats an answer may have, and which one a request asks for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import orjson
from aiohttp import hdrs, web

from auction.web.bodies import JsonObject
from auction.web.cdr_formats import quality_of
from auction.web.formats import fsxml, jambonz, kv, rtjson, twiml
from auction.web.formats.decision import Decision, Scalar
from auction.web.formats.links import Links
from auction.web.formats.parameters import FORM
from auction.web.problems import Fault, invalid

JSON: Final = "application/json"
XML: Final = "text/xml"
TWIML: Final = "application/xml"
"""Twilio and Telnyx read either; Kazoo wants this one."""


_MOST_RANGES: Final = 32
_AS_EVER: Final = frozenset({None, "*/*", JSON})


class FormatName(StrEnum):
    """What ``format=`` may say."""

    JSON = "json"
    KV = "kv"
    RTJSON = "rtjson"
    TWIML = "twiml"
    TEXML = "texml"
    FSXML = "fsxml"
    JAMBONZ = "jambonz"


class Signer(StrEnum):
    """Whose signature its requests carry, when it is configured."""

    TWILIO = "twilio"
    JAMBONZ = "jambonz"


def _ended_in_json(call_id: str) -> bytes:
    return orjson.dumps({"call_id": call_id, "action": "ended"})


@dataclass(frozen=True, slots=True)
class Format:
    """One switch's way to be told. ``media_type``: what an Accept header calls it.

    ``render`` makes the body of a decision, with the addresses to call back at and what was asked;
    ``ended`` that for a call that is over; ``problem`` that of an error, where the switch can't
    read JSON.
    """

    name: FormatName
    media_type: str
    content_type: str
    render: Callable[[Decision, Links, JsonObject], bytes]
    ended: Callable[[str], bytes] = _ended_in_json
    problem: Callable[[Mapping[str, Scalar]], bytes] | None = None
    signer: Signer | None = None


FORMATS: Final = (
    Format(FormatName.JSON, JSON, JSON, lambda decision, *_: decision.json),
    Format(
        FormatName.KV,
        FORM,
        FORM,
        lambda decision, *_: kv.render(decision),
        ended=kv.ended,
        problem=kv.problem,
    ),
    Format(
        FormatName.RTJSON,
        "application/vnd.pingpost.rtjson+json",
        JSON,
        lambda decision, *_: rtjson.render(decision),
    ),
    Format(
        FormatName.TWIML,
        "application/vnd.pingpost.twiml+xml",
        TWIML,
        lambda decision, links, _: twiml.render(decision, links),
        ended=lambda _: twiml.ended(),
        signer=Signer.TWILIO,
    ),
    Format(
        FormatName.TEXML,
        "application/vnd.pingpost.texml+xml",
        TWIML,
        lambda decision, links, _: twiml.render_texml(decision, links),
        ended=lambda _: twiml.ended(),
    ),
    Format(
        FormatName.FSXML,
        "application/vnd.pingpost.fsxml+xml",
        XML,
        fsxml.render,
        ended=lambda _: fsxml.not_found(),
    ),
    Format(
        FormatName.JAMBONZ,
        "application/vnd.pingpost.jambonz+json",
        JSON,
        lambda decision, links, _: jambonz.render(decision, links),
        ended=lambda _: jambonz.ended(),
        signer=Signer.JAMBONZ,
    ),
)
PLAIN: Final = FORMATS[0]
"""JSON, as everybody gets it who does not ask for anything else."""

_BY_NAME: Final[Mapping[str, Format]] = {each.name.value: each for each in FORMATS}
_BY_MEDIA_TYPE: Final[Mapping[str, Format | None]] = {
    **{each.media_type: each for each in FORMATS},
    JSON: None,
    "*/*": None,
}


def asked_format(request: web.Request) -> Format | None:
    """The format that a request names in ``format=`` or its Accept header; None: plain JSON.

    Raises CallerMistakeError: 422 for a name that is none.
    """
    accept = request.headers.get(hdrs.ACCEPT)
    if not request.rel_url.raw_query_string:
        return None if accept in _AS_EVER else accepted_format(accept)
    return named_format(request) or accepted_format(accept)


def named_format(request: web.Request) -> Format | None:
    """The format of ``format=``, None without. Raises CallerMistakeError: 422."""
    # mod_json_cdr adds `?uuid=` to an address that has its query already
    name = request.query.get("format", "").partition("?")[0]
    if not name:
        return None
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


def is_decided_by_query(request: web.Request) -> bool:
    """Whether a GET of the calls asks for a route: it names a format that lists don't have."""
    name = request.query.get("format")
    return request.method == hdrs.METH_GET and name in _BY_NAME and name != FormatName.JSON
