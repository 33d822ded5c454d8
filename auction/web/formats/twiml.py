"""``twiml``: for Twilio, Telnyx (TeXML) and Kazoo (Pivot)."""

from dataclasses import replace
from typing import Final
from xml.etree.ElementTree import Element

from auction.web.formats.decision import Decision, Dial
from auction.web.formats.links import Links
from auction.web.formats.xml import document, element

_EVENTS: Final = "answered completed"
_TELNYX_RINGS_S: Final = (5, 120)
"""What Telnyx documents for ``timeout``; Twilio takes whatever an offer may say."""


def render(decision: Decision, links: Links) -> bytes:
    """Dial, and ask again when that is over; a call that nobody takes is turned away unanswered."""
    if decision.dial is None:
        first = decision.attempt == 1
        return _response(element("Reject", {"reason": "busy"}) if first else element("Hangup"))
    return _response(_dial(decision, decision.dial, links))


def render_texml(decision: Decision, links: Links) -> bytes:
    """The same for Telnyx, with a dial timeout that it takes."""
    if decision.dial is None:
        return render(decision, links)
    shortest, longest = _TELNYX_RINGS_S
    timeout_s = max(shortest, min(decision.dial.timeout_s, longest))
    dial = replace(decision.dial, timeout_s=timeout_s)
    return render(replace(decision, dial=dial), links)


def ended() -> bytes:
    """The call is over."""
    return _response(element("Hangup"))


def _dial(decision: Decision, dial: Dial, links: Links) -> Element:
    call_id, attempt = decision.call_id, decision.attempt
    attributes: dict[str, str | int] = {"timeout": dial.timeout_s, "answerOnBridge": "true"}
    if not decision.routed:
        return element("Dial", attributes, _noun(dial, {}))
    attributes |= {"action": links.next(call_id, attempt), "method": "POST"}
    progress: dict[str, str | int] = {
        "statusCallback": links.events(call_id, attempt),
        "statusCallbackEvent": _EVENTS,
        "statusCallbackMethod": "POST",
    }
    return element("Dial", attributes, _noun(dial, progress))


def _noun(dial: Dial, attributes: dict[str, str | int]) -> Element:
    if dial.number is None:
        return element("Sip", attributes, dial.uri)
    digits = {"sendDigits": dial.send_digits} if dial.send_digits else {}
    return element("Number", {**digits, **attributes}, dial.number)


def _response(verb: Element) -> bytes:
    return document(element("Response", None, verb))
