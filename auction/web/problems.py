"""Errors as RFC 9457 problem documents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import orjson
from aiohttp import web

CONTENT_TYPE: Final = "application/problem+json"


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """One class of errors: its HTTP status, the end of its ``type`` URI, its title."""

    status: int
    slug: str
    title: str


NOT_JSON: Final = ProblemKind(400, "not-json", "The body is not JSON")
BAD_REQUEST: Final = ProblemKind(400, "bad-request", "The request can't be read")
UNAUTHORIZED: Final = ProblemKind(401, "unauthorized", "A valid token is required")
FORBIDDEN: Final = ProblemKind(403, "forbidden", "The token does not allow this")
NOT_FOUND: Final = ProblemKind(404, "not-found", "There is no such thing")
METHOD_NOT_ALLOWED: Final = ProblemKind(405, "method-not-allowed", "The method is not allowed here")
BODY_TIMEOUT: Final = ProblemKind(408, "body-timeout", "The body did not arrive in time")
CONFLICT: Final = ProblemKind(409, "conflict", "The same id came before with other content")
EXISTS: Final = ProblemKind(409, "exists", "There is one of this id already")
IN_USE: Final = ProblemKind(409, "in-use", "Others refer to it")
SETTLED: Final = ProblemKind(409, "settled", "It is settled already")
NO_SUCH_ATTEMPT: Final = ProblemKind(409, "no-such-attempt", "The call has no such route")
STALE: Final = ProblemKind(412, "stale", "It is not as the condition says")
TOO_LARGE: Final = ProblemKind(413, "too-large", "The body is too large")
UNSUPPORTED: Final = ProblemKind(415, "unsupported-media-type", "The body can't be read")
EXPECTATION: Final = ProblemKind(417, "expectation-failed", "The expectation can't be met")
INVALID: Final = ProblemKind(422, "invalid", "The request is not valid")
RATE_LIMITED: Final = ProblemKind(429, "rate-limited", "The token asks too often")
INTERNAL: Final = ProblemKind(500, "internal", "Something went wrong here")
UNAVAILABLE: Final = ProblemKind(503, "unavailable", "The service can't answer now, try again")

_BY_STATUS: Final = {
    kind.status: kind
    for kind in (
        BAD_REQUEST,
        NOT_FOUND,
        METHOD_NOT_ALLOWED,
        BODY_TIMEOUT,
        TOO_LARGE,
        EXPECTATION,
        INTERNAL,
    )
}


_BODY_UNREAD: Final = frozenset({BAD_REQUEST, BODY_TIMEOUT, TOO_LARGE, UNSUPPORTED, EXPECTATION})
"""After these the rest of the body could be taken for the next request."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of the input. ``message`` never repeats what was sent."""

    path: str
    message: str


class CallerMistakeError(Exception):
    """The request can't be served as it is; becomes a problem document at the edge."""

    def __init__(
        self,
        kind: ProblemKind,
        detail: str,
        *,
        faults: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.faults = faults
        self.headers = headers

    def response(self) -> web.Response:
        """The problem document."""
        return problem(self.kind, self.detail, faults=self.faults, headers=self.headers)


def invalid(*faults: Fault) -> CallerMistakeError:
    """The input is JSON, but not what is asked for: every fault with its path."""
    detail = "; ".join(f"{fault.path or 'the body'} {fault.message}" for fault in faults[:3])
    if len(faults) > 3:
        detail = f"{detail}; and {len(faults) - 3} more"
    return CallerMistakeError(INVALID, detail, faults=faults)


def problem(
    kind: ProblemKind,
    detail: str,
    *,
    faults: Sequence[Fault] = (),
    headers: Mapping[str, str] | None = None,
    reference: str | None = None,
) -> web.Response:
    """A problem document; ``reference`` is what to look for in the log."""
    document: dict[str, object] = {
        "type": f"urn:pingpost:problem:{kind.slug}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
    }
    if faults:
        document["errors"] = [{"path": each.path, "message": each.message} for each in faults]
    if reference is not None:
        document["reference"] = reference
    response = web.Response(
        status=kind.status, body=orjson.dumps(document), headers={**(headers or {})}
    )
    response.content_type = CONTENT_TYPE
    if kind in _BODY_UNREAD:
        response.force_close()
    return response


def http_problem(
    status: int, detail: str | None = None, headers: Mapping[str, str] | None = None
) -> web.Response:
    """A problem for an error that the HTTP layer found."""
    kind = _BY_STATUS.get(status) or _unnamed(status)
    return problem(kind, detail or kind.title, headers=headers)


def _unnamed(status: int) -> ProblemKind:
    phrase = HTTPStatus(status).phrase
    return ProblemKind(status, phrase.lower().replace(" ", "-"), phrase)
