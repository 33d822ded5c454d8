"""``POST /v1/calls/events``: what a switch reports about a routed call."""

import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from auction.domain.ids import CallId
from auction.domain.switch_events import CallEvent, EndedBy, EventType
from auction.web.bodies import JsonObject, fingerprint
from auction.web.call_request import Identifier
from auction.web.faults import OWN, faults_of
from auction.web.problems import Fault, invalid
from auction.web.services import Fingerprint

LONGEST_DURATION_S = 86_400
MOST_ATTEMPTS = 1000

_MILLISECOND = Decimal("0.001")

_RFC_3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d):(\d\d)(\.\d{1,30})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def read_instant(text: str) -> datetime | None:
    """An RFC 3339 time in UTC; None when unreadable. A leap second is the second after it."""
    match = _RFC_3339.fullmatch(text)
    if match is None:
        return None
    date, minute, second, fraction, zone = match.groups()
    leap = second == "60"
    fraction = "" if leap else (fraction or "")[:7]
    try:
        at = datetime.fromisoformat(
            f"{date}T{minute}:{'59' if leap else second}{fraction}{zone.upper()}"
        )
        return (at + timedelta(seconds=leap)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _instant(value: object) -> datetime:
    at = read_instant(value) if isinstance(value, str) else None
    if at is None:
        raise PydanticCustomError(OWN, "must be an RFC 3339 time with a zone")
    return at


def _duration(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PydanticCustomError(OWN, "must be a number of seconds")
    if not 0 <= value <= LONGEST_DURATION_S:
        raise PydanticCustomError(OWN, "must be from 0 to 86400 seconds")
    # the shortest text of a float is the decimal that was sent
    return abs(Decimal(repr(value))).quantize(_MILLISECOND, rounding=ROUND_DOWN)


Instant = Annotated[datetime, BeforeValidator(_instant)]
Duration = Annotated[Decimal, BeforeValidator(_duration)]


class EventRequest(BaseModel):
    """The body; null counts as absent. Durations in seconds, cut to milliseconds."""

    model_config = ConfigDict(strict=True, extra="forbid")

    call_id: Identifier
    event_id: Identifier
    type: Literal["answered", "ended"]
    attempt: Annotated[int, Field(ge=1, le=MOST_ATTEMPTS)] | None = None
    at: Instant
    total_duration_s: Duration | None = None
    connected_duration_s: Duration | None = None
    ended_by: Literal["caller", "target", "system"] | None = None
    sip_code: Annotated[int, Field(ge=100, le=699)] | None = None


def read_event(body: JsonObject, keyed: Fingerprint) -> CallEvent:
    """The report, validated. Raises CallerMistakeError (422) with every fault at once."""
    try:
        request = EventRequest.model_validate(body)
    except ValidationError as error:
        raise invalid(*faults_of(error)) from None
    total, connected = request.total_duration_s, request.connected_duration_s
    if total is not None and connected is not None and connected > total:
        raise invalid(Fault("connected_duration_s", "must not be above total_duration_s"))
    return CallEvent(
        call_id=CallId(request.call_id),
        event_id=request.event_id,
        type=EventType(request.type),
        attempt=request.attempt,
        at=request.at,
        fingerprint=fingerprint(body, keyed),
        total_duration_s=total,
        connected_duration_s=connected,
        ended_by=EndedBy(request.ended_by) if request.ended_by else None,
        sip_code=request.sip_code,
    )
