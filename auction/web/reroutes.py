"""The handler of ``POST /v1/calls/next``."""

from aiohttp import hdrs, web

from auction.domain.decision import NoSuchAttempt, OtherContent, UnknownCall
from auction.web import problems
from auction.web.authentication import MAY_REPORT, granted
from auction.web.bodies import read_object
from auction.web.next_request import read_next
from auction.web.problems import CallerMistakeError
from auction.web.services import Fingerprint, Rerouter, Tokens

_JSON = {hdrs.CONTENT_TYPE: "application/json"}


class RerouteHandlers:
    """What a switch asks when nobody took a call where it was sent."""

    def __init__(self, rerouter: Rerouter, tokens: Tokens, keyed: Fingerprint) -> None:
        self._rerouter = rerouter
        self._tokens = tokens
        self._keyed = keyed

    async def decide(self, request: web.Request) -> web.Response:
        """An attempt failed: where does the call go now?"""
        await granted(request, self._tokens, MAY_REPORT)
        asked, timeout_ms = read_next(await read_object(request), self._keyed)
        answer = await self._rerouter.decide(asked, timeout_ms)
        if isinstance(answer, UnknownCall):
            raise CallerMistakeError(problems.NOT_FOUND, "There is no call with this call_id.")
        if isinstance(answer, NoSuchAttempt):
            raise CallerMistakeError(
                problems.NO_SUCH_ATTEMPT,
                "The call has no route with this number; send the attempt that was answered last.",
            )
        if isinstance(answer, OtherContent):
            raise CallerMistakeError(
                problems.CONFLICT, "This attempt was reported before with other content."
            )
        return web.Response(body=answer, headers=_JSON)
