"""What became of a dial attempt, in the words of each switch."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from auction.web.bodies import JsonObject
from auction.web.event_request import LONGEST_DURATION_S
from auction.web.formats.calls import CALL_ID
from auction.web.formats.parameters import first_text, first_whole, present


class Outcome(Enum):
    """How a dial attempt ended, or how far it is."""

    BUSY = "busy"
    NO_ANSWER = "no_answer"
    FAILED = "failed"
    SHORT_CALL = "short_call"
    COMPLETED = "completed"
    CANCELED = "canceled"
    RINGING = "ringing"
    ANSWERED = "in_progress"


_WORDS: Final[Mapping[Outcome, str]] = {
    Outcome.BUSY: "busy user_busy",
    Outcome.NO_ANSWER: "no_answer noanswer no_user_response allotted_timeout progress_timeout",
    Outcome.FAILED: "failed congestion chanunavail call_rejected",
    Outcome.SHORT_CALL: "short_call",
    Outcome.COMPLETED: "completed answered answer success",
    Outcome.CANCELED: "canceled cancelled cancel originator_cancel",
    Outcome.RINGING: "queued initiated trying ringing early_media",
    Outcome.ANSWERED: "in_progress",
}
_OUTCOMES: Final = {word: each for each, words in _WORDS.items() for word in words.split()}
"""Twilio's and jambonz's statuses, Asterisk's ``DIALSTATUS``, FreeSWITCH's causes."""

_GOES_ON: Final = frozenset(
    {Outcome.BUSY, Outcome.NO_ANSWER, Outcome.FAILED, Outcome.SHORT_CALL, Outcome.RINGING}
)
_FAIL_REASONS: Final = _GOES_ON - {Outcome.RINGING}
_IS_OVER: Final = _FAIL_REASONS | {Outcome.COMPLETED, Outcome.CANCELED}

STATUS: Final = ("CallStatus", "call_status")
"""How far the caller's own leg is, or the leg that a report is about."""

_REASON: Final = (
    *("reason", "DialCallStatus", "dial_call_status", "DIALSTATUS", "dialstatus"),
    *("variable_originate_disposition", "variable_DIALSTATUS"),
)
_SIP_CODE: Final = (
    *("sip_code", "dial_sip_status", "SipResponseCode"),
    "variable_last_bridge_proto_specific_hangup_cause",
)
_CONNECTED: Final = ("connected_duration_s", "DialCallDuration")
_CODE: Final = re.compile(r"(?:sip:)?([1-6]\d\d)", re.ASCII)


def outcome_of(word: str | None) -> Outcome | None:
    """What a switch's word means; None for one that is not known."""
    name = (word or "").strip().lower().replace("-", "_").replace(" ", "_")
    return _OUTCOMES.get(name)


@dataclass(frozen=True, slots=True)
class Finished:
    """A dial attempt is over. ``caller_gone``: nobody waits to be sent elsewhere."""

    outcome: Outcome
    caller_gone: bool
    call_id: str | None
    attempt: int | None
    sip_code: int | None
    connected_duration_s: float | None
    timeout_ms: int | None

    @property
    def goes_on(self) -> bool:
        """Whether a caller waits to be sent elsewhere."""
        return self.outcome in _GOES_ON and not self.caller_gone

    def next_body(self) -> JsonObject:
        """The body of ``POST /v1/calls/next``."""
        return present(
            {
                "call_id": self.call_id,
                "attempt": self.attempt,
                "reason": self._fail_reason().value,
                "sip_code": self.sip_code,
                "timeout_ms": self.timeout_ms,
            }
        )

    def _fail_reason(self) -> Outcome:
        """Whoever asks where to go next did not reach anybody, whatever word came with it."""
        if self.outcome is Outcome.RINGING:
            return Outcome.NO_ANSWER
        return self.outcome if self.outcome in _FAIL_REASONS else Outcome.FAILED

    def ended_body(self, now: datetime) -> JsonObject:
        """The body of ``POST /v1/calls/events`` where there is no next."""
        talked = self.outcome is Outcome.COMPLETED
        return present(
            {
                "call_id": self.call_id,
                "event_id": f"callback-{self.attempt}-dial-ended",
                "type": "ended",
                "attempt": self.attempt,
                "at": now.isoformat(),
                "connected_duration_s": self.connected_duration_s if talked else None,
                "ended_by": None if talked else "caller",
                "sip_code": self.sip_code,
            }
        )


def read_finished(given: JsonObject, attempt: int | None = None) -> Finished:
    """What a switch says after it has dialled. Whoever asks where to go next was not answered."""
    return Finished(
        outcome=outcome_of(first_text(given, _REASON)) or Outcome.FAILED,
        caller_gone=outcome_of(first_text(given, STATUS)) in _IS_OVER,
        call_id=first_text(given, CALL_ID),
        attempt=attempt or first_whole(given, ["attempt"]),
        sip_code=read_sip_code(given),
        connected_duration_s=seconds(first_text(given, _CONNECTED)),
        timeout_ms=first_whole(given, ["timeout_ms"]) or None,
    )


def read_sip_code(given: JsonObject) -> int | None:
    """The SIP status of an attempt: ``486``, ``sip:486``."""
    match = _CODE.fullmatch(first_text(given, _SIP_CODE) or "")
    return None if match is None else int(match[1])


def seconds(text: str | None) -> float | None:
    """A duration in seconds; None for what is none."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value <= LONGEST_DURATION_S else None
