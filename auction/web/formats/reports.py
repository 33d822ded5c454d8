"""Answered and ended as switches report them, in the words of ``POST /v1/calls/events``."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import orjson

from auction.web.bodies import JsonObject
from auction.web.event_request import read_instant
from auction.web.formats.calls import CALL_ID
from auction.web.formats.outcomes import (
    STATUS,
    Outcome,
    outcome_of,
    read_sip_code,
    seconds,
)
from auction.web.formats.parameters import CALL_LINK, first_text, first_whole, present

_PARENT: Final = ("ParentCallSid", "parent_call_sid")
_DURATION: Final = ("CallDuration", "duration")
_TOTAL: Final = ("total_duration_s",)
_CONNECTED: Final = ("connected_duration_s",)
_ENDED_BY: Final = frozenset({"caller", "target", "system"})
_TYPES: Final = frozenset({"answered", "ended"})
_CALLERS_END: Final = frozenset(
    {Outcome.COMPLETED, Outcome.CANCELED, Outcome.BUSY, Outcome.NO_ANSWER, Outcome.FAILED}
)


def report_body(given: JsonObject, now: datetime) -> JsonObject | None:
    """The body of ``POST /v1/calls/events``; None: nothing that has to be noted."""
    record = _record_of(given)
    if record is not None:
        return _of_record(record, now)
    if first_text(given, ["type"]) in _TYPES:
        return _in_our_words(given, now)
    return _of_status(given, now)


def _in_our_words(given: JsonObject, now: datetime) -> JsonObject:
    kind, attempt = first_text(given, ["type"]), first_whole(given, ["attempt"])
    at, ended_by = first_text(given, ["at"]) or "", first_text(given, ["ended_by"])
    return present(
        {
            "call_id": first_text(given, CALL_ID),
            "event_id": first_text(given, ["event_id"]) or f"callback-{attempt}-{kind}",
            "type": kind,
            "attempt": attempt,
            "at": at if read_instant(at) else now.isoformat(),
            **_durations(
                seconds(first_text(given, _TOTAL)), seconds(first_text(given, _CONNECTED))
            ),
            "ended_by": ended_by if ended_by in _ENDED_BY else None,
            "sip_code": read_sip_code(given),
        }
    )


def _of_status(given: JsonObject, now: datetime) -> JsonObject | None:
    """Twilio's and jambonz's status callbacks, of the caller's leg or of the target's.

    A target's leg that failed is told by the request for where to go next.
    """
    outcome = outcome_of(first_text(given, STATUS))
    to_target = first_text(given, (CALL_LINK, *_PARENT)) is not None
    ends = {Outcome.COMPLETED} if to_target else _CALLERS_END
    if outcome is not Outcome.ANSWERED and outcome not in ends:
        return None
    kind = "answered" if outcome is Outcome.ANSWERED else "ended"
    attempt, leg = first_whole(given, ["attempt"]), "target" if to_target else "caller"
    lasted = seconds(first_text(given, _DURATION)) if kind == "ended" else None
    return present(
        {
            "call_id": first_text(given, (CALL_LINK, *_PARENT, *CALL_ID)),
            "event_id": f"callback-{attempt}-{leg}-{kind}",
            "type": kind,
            "attempt": attempt,
            "at": now.isoformat(),
            **_durations(None if to_target else lasted, lasted if to_target else None),
        }
    )


def _record_of(given: JsonObject) -> Mapping[str, object] | None:
    """The variables of a call in FreeSWITCH's mod_json_cdr, plain or as a form's ``cdr``."""
    text = given.get("cdr")
    if isinstance(text, str):
        try:
            read = orjson.loads(text)
        except orjson.JSONDecodeError:
            return {}
        given = read if isinstance(read, dict) else {}
    variables = given.get("variables")
    return variables if isinstance(variables, dict) else None


def _of_record(record: Mapping[str, object], now: datetime) -> JsonObject | None:
    """The end of a call that we routed; other calls, and the legs to targets, are none of ours."""
    values = dict(record)
    attempt = first_whole(values, ["pingpost_attempt"])
    if attempt is None or first_text(values, ["direction"]) == "outbound":
        return None
    ended = _micros(values, "end_uepoch")
    return present(
        {
            "call_id": first_text(values, ["uuid"]),
            "event_id": f"callback-{attempt}-cdr",
            "type": "ended",
            "attempt": attempt,
            "at": (datetime.fromtimestamp(ended, UTC) if ended else now).isoformat(),
            **_durations(
                _between(values, "start_uepoch", ended), _between(values, "bridge_uepoch", ended)
            ),
            "ended_by": _who_hung_up(first_text(values, ["sip_hangup_disposition"])),
        }
    )


def _who_hung_up(disposition: str | None) -> str | None:
    if disposition is None:
        return None
    return "caller" if disposition.startswith("recv_") else "target"


def _between(values: JsonObject, begin: str, ended: float | None) -> float | None:
    began = _micros(values, begin)
    if not began or not ended or ended < began:
        return None
    return seconds(f"{ended - began:.3f}")


def _micros(values: JsonObject, name: str) -> float | None:
    """A moment that is there in microseconds, in seconds; FreeSWITCH writes 0 for never."""
    micros = first_whole(values, [name])
    return micros / 1_000_000 if micros and micros < 10**17 else None


def _durations(total: float | None, connected: float | None) -> dict[str, float | None]:
    """Both; a switch that rounds them apart has not talked for longer than the call lasted."""
    if total is not None and connected is not None:
        total = max(total, connected)
    return {"total_duration_s": total, "connected_duration_s": connected}
