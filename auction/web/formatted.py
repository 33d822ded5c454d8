"""Calls asked about in a switch's own form, and answered in one."""

from aiohttp import hdrs, web

from auction.web.authentication import granted_to_report
from auction.web.bodies import MAX_BODY_BYTES, read_bytes
from auction.web.deciding import decide_call, decide_next
from auction.web.formats.calls import call_body
from auction.web.formats.decision import read_decision
from auction.web.formats.headers import decision_headers
from auction.web.formats.outcomes import read_finished
from auction.web.formats.parameters import Given, read_given
from auction.web.formats.table import Format
from auction.web.services import ApiServices


class FormattedCalls:
    """What a switch asks in one of ``auction.web.formats``."""

    def __init__(self, services: ApiServices) -> None:
        self._services = services

    async def decide(self, request: web.Request, form: Format) -> web.Response:
        """Where does this call go? See ``auction.web.deciding``."""
        services = self._services
        received_at = services.clock.now()
        grant = await granted_to_report(request, services.tokens)
        given = await _given(request)
        # our own words in JSON are checked as strictly as everywhere
        own = {**call_body(given.query), **given.body} if given.own_words else None
        answer = await decide_call(services, grant, own or call_body(given.both), received_at)
        return _told(form, answer)

    async def decide_next(self, request: web.Request, form: Format) -> web.Response:
        """An attempt failed: where does the call go now?"""
        services = self._services
        grant = await granted_to_report(request, services.tokens)
        given = await _given(request)
        asked = given.body if given.own_words else read_finished(given.both).next_body()
        answer = await decide_next(services, grant, asked)
        return _told(form, answer)


async def _given(request: web.Request) -> Given:
    """Raises CallerMistakeError: 400, 408, 413, 422."""
    body = await read_bytes(request, MAX_BODY_BYTES)
    return read_given(request.query_string, body, request.content_type)


def _told(form: Format, answer: bytes) -> web.Response:
    decision = read_decision(answer)
    headers = {
        hdrs.CONTENT_TYPE: form.content_type,
        # an answer to a GET must never come from somebody's cache
        hdrs.CACHE_CONTROL: "no-store",
        **decision_headers(decision),
    }
    return web.Response(body=form.render(decision), headers=headers)
