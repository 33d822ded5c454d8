"""The handler of ``POST /v1/calls/next``."""

from aiohttp import hdrs, web

from auction.web.authentication import granted_to_report
from auction.web.bodies import read_object
from auction.web.deciding import decide_next
from auction.web.formats.table import PLAIN, asked_format
from auction.web.formatted import FormattedCalls, is_form
from auction.web.problems import CallerMistakeError
from auction.web.services import ApiServices

_JSON = {hdrs.CONTENT_TYPE: "application/json"}


class RerouteHandlers:
    """What a switch asks when nobody took a call where it was sent."""

    def __init__(self, services: ApiServices) -> None:
        self._services = services
        self._formatted = FormattedCalls(services)

    async def decide(self, request: web.Request) -> web.Response:
        """An attempt failed: where does the call go now?"""
        form = asked_format(request)
        if form is not None:
            return await self._formatted.decide_next(request, form)
        services = self._services
        grant = await granted_to_report(request, services.tokens)
        try:
            body = await read_object(request)
        except CallerMistakeError as mistake:
            if is_form(mistake, request):
                return await self._formatted.decide_next(request, PLAIN)
            raise
        answer = await decide_next(services, grant, body)
        return web.Response(body=answer, headers=_JSON)
