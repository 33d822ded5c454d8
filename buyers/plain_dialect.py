"""The dialect that holds where an offer maps nothing: JSON as the contract spells it out."""

from auction.domain.bidding import (
    NoBid,
    PostAccepted,
    PostRejected,
    PostReply,
    PostUnknown,
    Quote,
)
from buyers.exact_json import MalformedAnswerError, exactly, parse_json
from buyers.rendering import json_value
from buyers.tokens import CallerIdMode, CallerIdRule, Occasion
from buyers.wording import clean_detail


def ping_body(occasion: Occasion, caller_id: CallerIdRule) -> bytes:
    """The object of a ping; ``caller_id`` is in it only where the offer asks for one."""
    content = _content(occasion)
    if caller_id.mode is not CallerIdMode.WITHHELD:
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


def _content(occasion: Occasion) -> dict[str, object]:
    caller = occasion.call.caller
    return {
        "ping_id": occasion.ping_id,
        "campaign": occasion.campaign,
        "offer": occasion.offer,
        "caller": {
            "area_code": caller.area_code,
            "state": caller.state,
            "country": caller.country,
        },
        "fields": occasion.fields,
        "minimum_bid": occasion.minimum_bid,
        "timeout_ms": occasion.timeout_ms,
    }


def says_accepted(document: object) -> bool | None:
    """What ``accepted`` says, None where it is neither true nor false."""
    accepted = document.get("accepted") if isinstance(document, dict) else None
    return accepted if isinstance(accepted, bool) else None


def read_ping(body: bytes) -> Quote | NoBid:
    """The bid in a ping's answer. Raises MalformedAnswerError."""
    document = parse_json(body)
    accepted = says_accepted(document)
    if accepted is None or not isinstance(document, dict):
        raise MalformedAnswerError("accepted is neither true nor false")
    if not accepted:
        return NoBid(clean_detail(document.get("reason")))
    return Quote(
        _exact(document, "bid", body),
        document.get("currency"),
        _exact(document, "bid_id", body),
        document.get("destination"),
        _exact(document, "expires_in_s", body),
        _exact(document, "minimum_duration_s", body),
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


def _exact(document: dict[object, object], key: str, body: bytes) -> object:
    value = document.get(key)
    if not isinstance(value, float):
        return value
    return exactly(value, body, lambda again: again.get(key) if isinstance(again, dict) else None)
