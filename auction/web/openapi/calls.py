"""The operations on calls, conversions, webhooks and tokens."""

from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel

from auction.web.call_request import CallRequest
from auction.web.event_request import EventRequest
from auction.web.formats.headers import HEADERS
from auction.web.formats.table import FormatName
from auction.web.list_request import ListRequest
from auction.web.next_request import FailedAttemptRequest
from auction.web.openapi import answers
from auction.web.openapi.operation import JSON, WITH_BODY, Operation, Operations, Schema
from auction.web.postback_request import PostbackRequest
from auction.web.switches import LiveCallsRequest
from auction.web.token_requests import TokenRequest

_PAGE: Final[Mapping[str, Schema]] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
    "after": {"type": "string"},
}
_FORM: Final = "application/x-www-form-urlencoded"
_XML: Final = ("text/xml", "application/xml")
_FORMAT: Final[Schema] = {
    "type": "string",
    "enum": [each.value for each in FormatName],
    "description": "How the answer is written, and whose names the request may use.",
}
_TEXT: Final[Schema] = {"type": "string"}
_LINKED: Final[Mapping[str, Schema]] = {
    "format": _FORMAT,
    "call": {"type": "string", "description": "The call_id."},
    "attempt": {"type": "string", "description": "Its number, from 1."},
    "key": {"type": "string", "description": "Opens this call, without a token."},
}
_NEXT_PROBLEMS: Final = (*WITH_BODY, 404, 409)


def _next(body: type[BaseModel] | None = None) -> Operation:
    return Operation(
        answers={200: answers.Route},
        body=body,
        body_types=(JSON, _FORM),
        query={**_LINKED, **({} if body else {"reason": _TEXT, "sip_code": _TEXT})},
        problems=_NEXT_PROBLEMS,
        other_types=(_FORM, *_XML),
        other_forms=(answers.RtjsonDocument, answers.JambonzVerbs, answers.CallEnded),
        problem_types=(_FORM,),
        answer_headers=HEADERS,
    )


def _events(body: type[BaseModel] | None = None) -> Operation:
    return Operation(
        answers={200: answers.EventReceived, 204: None},
        body=body,
        body_types=(JSON, _FORM),
        query={**_LINKED, **({} if body else {"type": _TEXT, "at": _TEXT})},
        problems=_NEXT_PROBLEMS,
        problem_types=(_FORM,),
    )


CALL_OPERATIONS: Final[Operations] = {
    ("POST", "/v1/calls"): Operation(
        answers={200: answers.Route},
        body=CallRequest,
        body_types=(JSON, _FORM),
        query={"format": _FORMAT},
        problems=(*WITH_BODY, 409),
        other_types=(_FORM, *_XML),
        other_forms=(answers.RtjsonDocument, answers.JambonzVerbs),
        problem_types=(_FORM,),
        answer_headers=HEADERS,
    ),
    ("GET", "/v1/calls"): Operation(
        answers={200: answers.CallsListed},
        query=ListRequest,
        problems=(422,),
        other_types=("text/csv", "application/x-ndjson"),
    ),
    ("GET", "/v1/calls/{call_id}"): Operation(answers={200: answers.CallShown}, problems=(404,)),
    ("POST", "/v1/calls/next"): _next(FailedAttemptRequest),
    ("GET", "/v1/calls/next"): _next(),
    ("POST", "/v1/calls/events"): _events(EventRequest),
    ("GET", "/v1/calls/events"): _events(),
    ("POST", "/v1/switches/{name}/live-calls"): Operation(
        answers={200: answers.LiveCallsCompared}, body=LiveCallsRequest, problems=(*WITH_BODY, 404)
    ),
    ("GET", "/v1/postbacks/conversion"): Operation(
        answers={200: answers.Converted}, query=PostbackRequest, problems=(404, 409, 422)
    ),
    ("POST", "/v1/postbacks/conversion"): Operation(
        answers={200: answers.Converted},
        body=PostbackRequest,
        query=PostbackRequest,
        problems=(*WITH_BODY, 404, 409),
        body_types=(JSON, _FORM),
        body_required=False,
    ),
    ("GET", "/v1/webhooks/dead-letters"): Operation(
        answers={200: answers.DeadLettersListed}, query=_PAGE, problems=(422,)
    ),
    ("POST", "/v1/webhooks/dead-letters/{event_id}/resend"): Operation(
        answers={202: answers.Resent}, problems=(404,)
    ),
    ("GET", "/v1/tokens"): Operation(
        answers={200: answers.TokensListed}, query=_PAGE, problems=(422,)
    ),
    ("POST", "/v1/tokens"): Operation(
        answers={201: answers.NewToken}, body=TokenRequest, problems=(*WITH_BODY, 409)
    ),
    ("GET", "/v1/tokens/{token_id}"): Operation(answers={200: answers.Token}, problems=(404,)),
    ("DELETE", "/v1/tokens/{token_id}"): Operation(answers={204: None}, problems=(404,)),
}
