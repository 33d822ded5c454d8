"""The handler of ``/v1/postbacks/conversion``."""

from collections.abc import Mapping
from typing import Final, Protocol

import orjson
from aiohttp import hdrs, web

from auction.domain.ids import BuyerId
from auction.domain.money import render
from auction.domain.postbacks import Postback, PostbackResult, Refused, Reported
from auction.web import problems
from auction.web.authentication import Scope, presented_token, refuse_too_many
from auction.web.postback_request import read_body, read_postback, read_query, together
from auction.web.problems import CallerMistakeError, ProblemKind
from auction.web.services import Fingerprint, Grant, Tokens

# an answer to a GET must never come from somebody's cache
_JSON: Final = {hdrs.CONTENT_TYPE: "application/json", hdrs.CACHE_CONTROL: "no-store"}

_CONVERTED: Final = ProblemKind(
    409, "converted-by-another-buyer", "The call was converted by another buyer"
)
_NOTHING_SOLD: Final = ProblemKind(409, "nothing-to-return", "There is nothing to give back")
_PASSED_ON: Final = ProblemKind(409, "went-to-another-buyer", "The call went on to another buyer")

MISTAKES: Final = {
    Refused.UNKNOWN_CALL: (problems.NOT_FOUND, "No call of this name was sold to this buyer."),
    Refused.OTHER_CONTENT: (
        problems.CONFLICT,
        "This event_id was reported before with other content; send a new one to amend.",
    ),
    Refused.NOTHING_SOLD: (
        _NOTHING_SOLD,
        "No conversion of this call stands that could be given back.",
    ),
    Refused.OTHER_BUYER: (
        _CONVERTED,
        "A call converts once, and the conversion of another buyer stands.",
    ),
    Refused.PASSED_ON: (
        _PASSED_ON,
        "This attempt failed and the call went on to another buyer; only a conversion that stands "
        "can still be amended or withdrawn.",
    ),
}
"""How a report that was not taken is told."""


class Postbacks(Protocol):
    """Where buyers' reports go."""

    async def report(self, postback: Postback) -> PostbackResult:
        """What became of a report, once durable. Raises StorageUnavailableError."""


class PostbackHandlers:
    """What a buyer reports of the calls that were sold to it."""

    def __init__(self, postbacks: Postbacks, tokens: Tokens, keyed: Fingerprint) -> None:
        self._postbacks = postbacks
        self._tokens = tokens
        self._keyed = keyed

    async def convert(self, request: web.Request) -> web.Response:
        """A conversion happened, has another amount, or does not count."""
        query = read_query(request)
        named = _usable(query.pop("token", None))
        token = presented_token(request.headers) or named
        grant = None if token is None else await self._granted(token)
        body = {} if request.method == hdrs.METH_GET else await read_body(request)
        given = _usable(body.pop("token", None))
        if grant is None:
            grant = await self._granted(given)
        asked = read_postback(together(query, body))
        buyer = None if grant.buyer is None else BuyerId(grant.buyer)
        result = await self._postbacks.report(asked.to_postback(buyer, self._keyed))
        if isinstance(result, Refused):
            raise CallerMistakeError(*MISTAKES[result])
        return web.Response(body=orjson.dumps(_render(result)), headers=_JSON)

    async def _granted(self, token: str | None) -> Grant:
        """The token's grant. Raises CallerMistakeError: 401 for no known token, 403."""
        grant = None if token is None else await self._tokens.lookup(token)
        if grant is None:
            raise CallerMistakeError(
                problems.UNAUTHORIZED,
                "Send a token as Authorization: Bearer, as X-API-Key or as token=.",
                headers={hdrs.WWW_AUTHENTICATE: 'Bearer realm="pingpost"'},
            )
        needed = {Scope.POSTBACK} if grant.buyer is not None else {Scope.POSTBACK, Scope.ADMIN}
        if not needed <= grant.scopes:
            raise CallerMistakeError(
                problems.FORBIDDEN,
                "A token with scope postback and a buyer is needed; one without a buyer needs "
                "scope admin too.",
            )
        refuse_too_many(self._tokens, grant)
        return grant


def _usable(value: object) -> str | None:
    """A token that came as a parameter, if it could be one."""
    return presented_token({"X-API-Key": value}) if isinstance(value, str) else None


def _render(reported: Reported) -> Mapping[str, object]:
    return {
        "call_id": reported.call_id,
        "event_id": reported.event_id,
        "result": reported.result.value,
        "amount": render(reported.amount),
        "currency": reported.currency,
        "flagged": reported.flagged,
    }
