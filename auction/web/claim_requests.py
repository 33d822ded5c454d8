"""What a claim and a question for their rates may say."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from auction.web.bodies import JsonObject
from auction.web.call_request import Identifier
from auction.web.event_request import read_instant
from auction.web.faults import faults_of
from auction.web.problems import Fault, invalid

_PRINTABLE: Final = r"^[^\x00-\x1f\x7f]*$"

Reason = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=_PRINTABLE)
]
Note = Annotated[str, StringConstraints(max_length=1000, pattern=_PRINTABLE)]


class ClaimRequest(BaseModel):
    """A claim; without ``event_id`` a buyer has one of its kind per call."""

    model_config = ConfigDict(strict=True, extra="forbid")

    reason: Reason
    note: Note | None = None
    event_id: Identifier | None = None

    @property
    def content(self) -> JsonObject:
        """What tells a repeat from another claim."""
        return {"reason": self.reason, "note": self.note}


@dataclass(frozen=True, slots=True)
class Period:
    """Which calls are asked about, by their arrival, and per ``offer`` or ``source``."""

    since: datetime
    until: datetime
    by: str


def read_claim(body: JsonObject) -> ClaimRequest:
    """The claim, validated. Raises CallerMistakeError (422) with every fault at once."""
    try:
        return ClaimRequest.model_validate(body)
    except ValidationError as error:
        raise invalid(*faults_of(error)) from None


def read_period(query: Mapping[str, str]) -> Period:
    """The period of a question. Raises CallerMistakeError (422) with every fault at once."""
    faults = [
        Fault(name, "is not known: from, to and by are")
        for name in query
        if name not in {"from", "to", "by"}
    ]
    since, until = (read_instant(query.get(name, "")) for name in ("from", "to"))
    for name, instant in (("from", since), ("to", until)):
        if instant is None:
            faults.append(Fault(name, "must be an RFC 3339 time with a zone"))
    by = query.get("by", "offer")
    if by not in {"offer", "source"}:
        faults.append(Fault("by", "must be offer or source"))
    if since is not None and until is not None and until <= since:
        faults.append(Fault("to", "must be after from"))
    if since is None or until is None or faults:
        raise invalid(*faults)
    return Period(since, until, by)
