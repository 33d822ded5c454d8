"""``fsxml``: a dialplan document for FreeSWITCH's mod_xml_curl."""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote
from xml.etree.ElementTree import Element

from auction.web.bodies import JsonObject
from auction.web.formats.decision import Decision, Dial
from auction.web.formats.dial_strings import in_dial_string
from auction.web.formats.links import Links
from auction.web.formats.parameters import first_text
from auction.web.formats.xml import document, element

NEXT: Final = "pingpost-next-"
"""What FreeSWITCH dials when an attempt has failed, with the attempt's number."""

CONTEXT: Final = ("Hunt-Context", "Caller-Context")
PROFILE: Final = "profile"
GATEWAY: Final = "gateway"

_ANY_CONTEXT: Final = "global"
_DEFAULT: Final = {PROFILE: "external", GATEWAY: "default"}
_NAME: Final = re.compile(r"[A-Za-z0-9_.\-]{1,64}", re.ASCII)
_NEXT: Final = re.compile(rf"{NEXT}(\d{{1,4}})", re.ASCII)
_NOT_FOUND: Final = element(
    "document",
    {"type": "freeswitch/xml"},
    element("section", {"name": "result"}, element("result", {"status": "not found"})),
)


def failed_attempt(dialled: str | None) -> int | None:
    """The attempt that failed, when FreeSWITCH dials to hear where to go next."""
    match = _NEXT.fullmatch(dialled or "")
    return None if match is None else int(match[1])


def not_found() -> bytes:
    """Nothing here: FreeSWITCH goes on to its other bindings and to the dialplan on its disk."""
    return document(_NOT_FOUND)


def render(decision: Decision, links: Links, given: JsonObject) -> bytes:
    """An extension of the context that was asked for, or ``not found``."""
    if decision.dial is None:
        return not_found()
    actions = _actions(decision, decision.dial, links, given)
    context = first_text(given, CONTEXT) or _ANY_CONTEXT
    extension = element(
        "extension",
        {"name": "pingpost"},
        element("condition", None, *(_action(name, data) for name, data in actions)),
    )
    section = element("section", {"name": "dialplan"})
    section.append(element("context", {"name": context}, extension))
    return document(element("document", {"type": "freeswitch/xml"}, section))


def _actions(
    decision: Decision, dial: Dial, links: Links, given: JsonObject
) -> Iterator[tuple[str, str]]:
    attempt = decision.attempt
    yield "set", "hangup_after_bridge=true"
    yield "set", "continue_on_fail=true"
    # early media would end the dialling, and with it the time limit and what is told of a failure
    yield "set", "ignore_early_media=ring_ready"
    yield "set", f"call_timeout={dial.timeout_s}"
    yield "set", f"pingpost_attempt={attempt}"
    yield "set", f"pingpost_whisper={quote(dial.whisper or '', safe='')}"
    yield "export", f"nolocal:execute_on_answer={_digits(dial)}"
    yield "export", f"nolocal:api_on_answer={_report(decision, links)}"
    yield "bridge", _leg(dial, given)
    if decision.routed:
        yield "transfer", f"{NEXT}{attempt}"


def _digits(dial: Dial) -> str:
    """Empty without: the channel would keep those of the attempt before."""
    return f"send_dtmf {quote(dial.send_digits, safe='#*')}" if dial.send_digits else ""


def _report(decision: Decision, links: Links) -> str:
    if not decision.routed:
        return ""
    answered = links.answered(decision.call_id, decision.attempt)
    return f"bgapi curl {answered} connect-timeout 2 timeout 5"


def _leg(dial: Dial, given: JsonObject) -> str:
    if dial.number is None:
        return f"sofia/{_named(PROFILE, given)}/{in_dial_string(dial.uri)}"
    return f"sofia/gateway/{_named(GATEWAY, given)}/{in_dial_string(dial.number)}"


def _named(parameter: str, given: JsonObject) -> str:
    name = first_text(given, [parameter]) or ""
    return name if _NAME.fullmatch(name) else _DEFAULT[parameter]


def _action(application: str, data: str) -> Element:
    return element("action", {"application": application, "data": data})
