"""What is done for a switch, whatever form its request and its answer have."""

from datetime import datetime

from auction.domain.next_attempt import NoSuchAttempt, UnknownCall
from auction.domain.opening import OtherContent
from auction.domain.switch_events import CallEvent, EventResult
from auction.web import problems
from auction.web.bodies import JsonObject
from auction.web.call_request import CallRequest, call_fingerprint, read_call_request
from auction.web.next_request import read_next
from auction.web.own_calls import UNKNOWN_CALL, refuse_other_sources
from auction.web.problems import CallerMistakeError
from auction.web.services import ApiServices, Grant


async def decide_call(
    services: ApiServices, grant: Grant, body: JsonObject, received_at: datetime
) -> bytes:
    """The answer's JSON to ``POST /v1/calls``.

    Raises CallerMistakeError (403, 409, 422), StorageUnavailableError, OverloadedError.
    """
    asked = read_call_request(body)
    _refuse_other_source(asked, grant)
    call = asked.to_call(grant, received_at, services.default_country())
    content = call_fingerprint(body, services.fingerprint)
    answer = await services.reception.decide(call, content)
    if isinstance(answer, OtherContent):
        raise CallerMistakeError(
            problems.CONFLICT, "This call_id was decided before with other content."
        )
    return answer


async def decide_next(services: ApiServices, grant: Grant, body: JsonObject) -> bytes:
    """The answer's JSON to ``POST /v1/calls/next``.

    Raises CallerMistakeError (404, 409, 422), StorageUnavailableError.
    """
    asked, timeout_ms = read_next(body, services.fingerprint)
    await refuse_other_sources(grant, asked.call_id, services.records)
    answer = await services.rerouter.decide(asked, timeout_ms)
    if isinstance(answer, UnknownCall):
        raise CallerMistakeError(problems.NOT_FOUND, UNKNOWN_CALL)
    if isinstance(answer, NoSuchAttempt):
        raise CallerMistakeError(
            problems.NO_SUCH_ATTEMPT,
            "The call has no route with this number; send the attempt that was answered last.",
        )
    if isinstance(answer, OtherContent):
        raise CallerMistakeError(
            problems.CONFLICT, "This attempt was reported before with other content."
        )
    return answer


async def record_event(services: ApiServices, grant: Grant, event: CallEvent) -> EventResult:
    """What became of a report. Raises CallerMistakeError (404), StorageUnavailableError."""
    await refuse_other_sources(grant, event.call_id, services.records)
    result = await services.events.record(event)
    if result is EventResult.UNKNOWN_CALL:
        raise CallerMistakeError(problems.NOT_FOUND, UNKNOWN_CALL)
    return result


def _refuse_other_source(asked: CallRequest, grant: Grant) -> None:
    if grant.source is not None and asked.source and asked.source != grant.source:
        raise CallerMistakeError(
            problems.FORBIDDEN, "This token is bound to a source; the call names another."
        )
