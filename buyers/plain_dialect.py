"""The dialect that holds where an offer maps nothing: JSON as the contract spells it out."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import orjson

from auction.domain.bidding import (
    NoBid,
    PostAccepted,
    PostRejected,
    PostReply,
    PostUnknown,
    Quote,
)
from auction.domain.call import Caller, FieldValue
from buyers.exact_json import MalformedAnswerError, exactly, parse_json
from buyers.rendering import Pieces, json_value
from buyers.tokens import CallerIdMode, CallerIdRule, CallParts, Occasion
from buyers.wording import clean_detail

PlainBody = Callable[[Occasion, CallerIdRule], bytes]
"""Renders a request that has no body of its own."""

_WITHHELD = CallerIdMode.WITHHELD


def ping_body(occasion: Occasion, caller_id: CallerIdRule) -> bytes:
    """The object of a ping; ``caller_id`` is in it only where the offer asks for one."""
    content = _content(occasion)
    if caller_id.mode is not _WITHHELD:
        content["caller_id"] = caller_id.value(occasion.call.caller)
    return json_value(content)


def post_body(occasion: Occasion, caller_id: CallerIdRule) -> bytes:
    """The object of a post."""
    content = _content(occasion)
    content["caller_id"] = caller_id.value(occasion.call.caller)
    content["bid_id"] = occasion.bid_id
    content["bid"] = occasion.bid
    content["post_id"] = occasion.post_id
    return json_value(content)


def with_fields(body: PlainBody, fields: Pieces) -> PlainBody:
    """The same object with the fields that ``fields`` renders in place of the call's own."""

    def mapped(occasion: Occasion, caller_id: CallerIdRule) -> bytes:
        told = occasion.rendered or render_call(occasion.call.caller, {})
        parts = told[0], orjson.Fragment(fields.render(occasion))
        return body(replace(occasion, rendered=parts), caller_id)

    return mapped


def render_call(caller: Caller, fields: Mapping[str, FieldValue]) -> CallParts:
    """What all that is sent of a call has in common, rendered."""
    return orjson.Fragment(json_value(_caller(caller))), orjson.Fragment(json_value(fields))


def _content(occasion: Occasion) -> dict[str, object]:
    rendered = occasion.rendered
    caller, fields = rendered or (_caller(occasion.call.caller), occasion.fields)
    return {
        "ping_id": occasion.ping_id,
        "campaign": occasion.campaign,
        "offer": occasion.offer,
        "caller": caller,
        "fields": fields,
        "minimum_bid": occasion.minimum_bid,
        "timeout_ms": occasion.timeout_ms,
    }


def _caller(caller: Caller) -> dict[str, object]:
    return {"area_code": caller.area_code, "state": caller.state, "country": caller.country}


def says_accepted(document: object) -> bool | None:
    """What ``accepted`` says, None where it is neither true nor false."""
    accepted = document.get("accepted") if isinstance(document, dict) else None
    return accepted if isinstance(accepted, bool) else None


def read_ping(body: bytes) -> Quote | NoBid:
    """The bid in a ping's answer. Raises MalformedAnswerError."""
    document = parse_json(body)
    if not isinstance(document, dict):
        raise MalformedAnswerError("accepted is neither true nor false")
    found = document.get
    accepted = found("accepted")
    if accepted is False:
        return NoBid(clean_detail(found("reason")))
    if accepted is not True:
        raise MalformedAnswerError("accepted is neither true nor false")
    bid, bid_id = found("bid"), found("bid_id")
    lasts, minimum = found("expires_in_s"), found("minimum_duration_s")
    return Quote(
        bid if not isinstance(bid, float) else _exact(bid, "bid", body),
        found("currency"),
        bid_id if not isinstance(bid_id, float) else _exact(bid_id, "bid_id", body),
        found("destination"),
        lasts if not isinstance(lasts, float) else _exact(lasts, "expires_in_s", body),
        minimum if not isinstance(minimum, float) else _exact(minimum, "minimum_duration_s", body),
    )


def read_post(body: bytes) -> PostReply:
    """What a post's answer says; unknown where it says neither yes nor no."""
    try:
        document = parse_json(body)
    except MalformedAnswerError as error:
        return PostUnknown(str(error))
    accepted = says_accepted(document)
    if accepted is None or not isinstance(document, dict):
        return PostUnknown("accepted is neither true nor false")
    if not accepted:
        return PostRejected(clean_detail(document.get("reason")))
    return PostAccepted(document.get("destination"))


def _exact(number: float, key: str, body: bytes) -> object:
    return exactly(number, body, lambda again: again.get(key) if isinstance(again, dict) else None)
