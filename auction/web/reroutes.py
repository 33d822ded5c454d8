"""The handler of ``POST /v1/calls/next``."""

from aiohttp import hdrs, web

from auction.domain.next_attempt import NoSuchAttempt, UnknownCall
from auction.domain.opening import OtherContent
from auction.web import problems
from auction.web.authentication import granted_to_report
from auction.web.bodies import read_object
from auction.web.next_request import read_next
from auction.web.own_calls import UNKNOWN_CALL, refuse_other_sources
from auction.web.problems import CallerMistakeError
from auction.web.services import ApiServices

_JSON = {hdrs.CONTENT_TYPE: "application/json"}


class RerouteHandlers:
    """What a switch asks when nobody took a call where it was sent."""

    def __init__(self, services: ApiServices) -> None:
        self._services = services

    async def decide(self, request: web.Request) -> web.Response:
        """An attempt failed: where does the call go now?"""
        services = self._services
        grant = await granted_to_report(request, services.tokens)
        asked, timeout_ms = read_next(await read_object(request), services.fingerprint)
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
        return web.Response(body=answer, headers=_JSON)
