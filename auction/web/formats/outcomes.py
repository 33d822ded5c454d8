"""What became of a dial attempt, in the words of each switch."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from auction.web.bodies import JsonObject
from auction.web.event_request import LONGEST_DURATION_S
from auction.web.formats.calls import CALL_ID
from auction.web.formats.parameters import first_text, first_whole, present


class Outcome(Enum):
    """How a dial attempt ended, or that it has begun to be a conversation."""

    BUSY = "busy"
    NO_ANSWER = "no_answer"
    FAILED = "failed"
    SHORT_CALL = "short_call"
    COMPLETED = "completed"
    CANCELED = "canceled"
    UNDER_WAY = "under_way"


def _words() -> Iterable[tuple[str, Outcome]]:
    for outcome, words in _WORDS.items():
        for word in words.split():
            yield word, outcome


_WORDS: Final[Mapping[Outcome, str]] = {
    Outcome.BUSY: "busy user_busy",
    Outcome.NO_ANSWER: "no_answer noanswer no_user_response allotted_timeout progress_timeout "
    "media_timeout no_pickup",
    Outcome.FAILED: "failed congestion chanunavail call_rejected",
    Outcome.SHORT_CALL: "short_call",
    Outcome.COMPLETED: "completed answered answer success",
    Outcome.CANCELED: "canceled cancelled cancel originator_cancel",
    Outcome.UNDER_WAY: "queued initiated trying ringing early_media in_progress",
}
_OUTCOMES: Final = dict(_words())
"""Twilio's and jambonz's statuses, Asterisk's ``DIALSTATUS``, FreeSWITCH's causes."""

REASON: Final = (
    *("reason", "DialCallStatus", "dial_call_status", "DIALSTATUS", "dialstatus"),
    *("variable_originate_disposition", "originate_disposition"),
)
SIP_CODE: Final = ("sip_code", "dial_sip_status", "DialSipResponseCode", "variable_sip_term_status")
CONNECTED: Final = (
    "connected_duration_s",
    "DialCallDuration",
    "dial_call_duration",
    "ANSWEREDTIME",
)


def outcome_of(word: str | None) -> Outcome:
    """What a word means. Whoever asks where to go next has not been answered: FAILED."""
    name = (word or "").strip().lower().replace("-", "_").replace(" ", "_")
    return _OUTCOMES.get(name, Outcome.FAILED)


@dataclass(frozen=True, slots=True)
class Finished:
    """A dial attempt is over: ``failed`` is the body of ``next``, None when there is no next."""

    outcome: Outcome
    call_id: str | None
    attempt: int | None
    sip_code: int | None
    connected_duration_s: int | None
    timeout_ms: int | None

    @property
    def goes_on(self) -> bool:
        """Whether a caller waits to be sent elsewhere."""
        return self.outcome in {
            Outcome.BUSY,
            Outcome.NO_ANSWER,
            Outcome.FAILED,
            Outcome.SHORT_CALL,
        }

    def next_body(self) -> JsonObject:
        """The body of ``POST /v1/calls/next``."""
        return present(
            {
                "call_id": self.call_id,
                "attempt": self.attempt,
                "reason": self.outcome.value,
                "sip_code": self.sip_code,
                "timeout_ms": self.timeout_ms,
            }
        )


def read_finished(given: JsonObject) -> Finished:
    """What a switch says after it has dialled; the call ended when its caller has gone."""
    return Finished(
        outcome=outcome_of(first_text(given, REASON)),
        call_id=first_text(given, CALL_ID),
        attempt=first_whole(given, ["attempt"]),
        sip_code=_sip_code(given),
        connected_duration_s=_seconds(given),
        timeout_ms=first_whole(given, ["timeout_ms"]) or None,
    )


def _sip_code(given: JsonObject) -> int | None:
    code = first_whole(given, SIP_CODE)
    return code if code is not None and 100 <= code <= 699 else None


def _seconds(given: JsonObject) -> int | None:
    seconds = first_whole(given, CONNECTED)
    return seconds if seconds is not None and seconds <= LONGEST_DURATION_S else None
