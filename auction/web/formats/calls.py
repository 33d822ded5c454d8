"""A call as switches describe it, in the words of ``POST /v1/calls``. What is odd is left out."""

import re
from typing import Final

from auction.web.bodies import JsonObject
from auction.web.call_request import LONGEST_NAME, LONGEST_VALUE, MOST_FIELDS
from auction.web.formats.parameters import CALL_LINK, first_text, first_whole, present

CALL_ID: Final = (
    *(CALL_LINK, "CallSid", "call_sid", "Unique-ID", "Call-ID", "uniqueid", "call_id"),
)
DIALED_NUMBER: Final = (
    *("dialed_number", "To", "Hunt-Destination-Number", "Caller-Destination-Number"),
    *("to", "extension"),
)
CALLER_ID: Final = (
    *("caller_id", "Caller-ID-Number", "CallerNumber", "From"),
    *("Hunt-Caller-ID-Number", "Caller-Caller-ID-Number", "from", "callerid"),
)
_FIELD: Final = "fields."
_CONTROLS: Final = re.compile("[\\x00-\\x1f\\x7f-\\x9f]")
_TRUE: Final = frozenset({"true", "1", "yes"})

TWILIO_WITHHELD: Final = frozenset(
    {"+7378742833", "+2562533", "+8656696", "+266696687", "+86282452253", "+464"}
)
"""RESTRICTED, BLOCKED, UNKNOWN, ANONYMOUS, UNAVAILABLE and nothing, as typed on a telephone."""


def call_body(given: JsonObject) -> JsonObject:
    """The body of ``POST /v1/calls``; our own names come before a switch's."""
    body = {
        "call_id": first_text(given, CALL_ID),
        "campaign": _name(first_text(given, ["campaign"])),
        "dialed_number": _name(first_text(given, DIALED_NUMBER)),
        "caller_id": _caller(first_text(given, CALLER_ID)),
        "source": _name(first_text(given, ["source"])),
        "fields": _fields(given) or None,
        "timeout_ms": first_whole(given, ["timeout_ms"]) or None,
        "test": (first_text(given, ["test"]) or "").lower() in _TRUE or None,
    }
    return present(body)


def _name(text: str | None) -> str | None:
    if text is None or len(text) > LONGEST_NAME or _CONTROLS.search(text):
        return None
    return text


def _caller(text: str | None) -> str | None:
    return None if text in TWILIO_WITHHELD else text


def _fields(given: JsonObject) -> JsonObject:
    found: JsonObject = {}
    for name, value in given.items():
        key = name.removeprefix(_FIELD)
        if key == name or not _name(key) or not isinstance(value, str) or len(found) >= MOST_FIELDS:
            continue
        if value and len(value) <= LONGEST_VALUE and "\0" not in value:
            found[key] = value
    return found
