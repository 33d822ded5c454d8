"""``jambonz``: an array of verbs."""

from typing import Final

import orjson

from auction.web.formats.decision import Decision, Dial
from auction.web.formats.links import Links

_TEMPORARILY_UNAVAILABLE: Final = 480


def render(decision: Decision, links: Links) -> bytes:
    """Dial, and ask again when that is over; a call that nobody takes is declined unanswered."""
    if decision.dial is None:
        first = decision.attempt == 1
        return orjson.dumps([_declined(decision) if first else {"verb": "hangup"}])
    return orjson.dumps([_dial(decision, decision.dial, links)])


def ended() -> bytes:
    """The call is over."""
    return orjson.dumps([{"verb": "hangup"}])


def _dial(decision: Decision, dial: Dial, links: Links) -> dict[str, object]:
    verb: dict[str, object] = {
        "verb": "dial",
        "answerOnBridge": True,
        "timeout": dial.timeout_s,
        "target": [_target(dial)],
    }
    if decision.routed:
        verb["actionHook"] = links.next(decision.call_id, decision.attempt)
    return verb


def _target(dial: Dial) -> dict[str, str]:
    if dial.number is None:
        return {"type": "sip", "sipUri": dial.uri}
    return {"type": "phone", "number": dial.number}


def _declined(decision: Decision) -> dict[str, object]:
    reason = str(decision.values.get("reason") or "no_route")
    return {"verb": "sip:decline", "status": _TEMPORARILY_UNAVAILABLE, "reason": reason}
