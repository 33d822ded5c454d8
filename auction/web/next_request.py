"""``POST /v1/calls/next``: an attempt failed, where now?"""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from auction.domain.ids import CallId
from auction.domain.next_attempt import FailReason, NextRequest
from auction.web.bodies import JsonObject, fingerprint
from auction.web.call_request import LONGEST_TIMEOUT_MS, Identifier, whole
from auction.web.event_request import MOST_ATTEMPTS
from auction.web.faults import faults_of
from auction.web.problems import invalid
from auction.web.services import Fingerprint


class FailedAttemptRequest(BaseModel):
    """The body; null counts as absent, ``attempt`` is the one that failed."""

    model_config = ConfigDict(strict=True, extra="forbid")

    call_id: Identifier
    attempt: Annotated[int, Field(ge=1, le=MOST_ATTEMPTS)]
    reason: Literal["busy", "no_answer", "failed", "short_call"]
    sip_code: Annotated[int, Field(ge=100, le=699)] | None = None
    timeout_ms: Annotated[int, BeforeValidator(whole), Field(ge=1)] | None = None


def read_next(body: JsonObject, keyed: Fingerprint) -> tuple[NextRequest, int | None]:
    """The request and how long the switch waits for its answer, in milliseconds.

    Raises CallerMistakeError (422) with every fault at once.
    """
    try:
        asked = FailedAttemptRequest.model_validate(body)
    except ValidationError as error:
        raise invalid(*faults_of(error)) from None
    content = {key: value for key, value in body.items() if key != "timeout_ms"}
    request = NextRequest(
        call_id=CallId(asked.call_id),
        attempt=asked.attempt,
        reason=FailReason(asked.reason),
        fingerprint=fingerprint(content, keyed),
        decide_within_ms=0,
        sip_code=asked.sip_code,
    )
    timeout_ms = asked.timeout_ms
    return request, None if timeout_ms is None else min(timeout_ms, LONGEST_TIMEOUT_MS)
