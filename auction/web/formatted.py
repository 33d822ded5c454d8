"""Calls asked about in a switch's own form, and answered in one."""

from collections.abc import Awaitable, Callable

import orjson
from aiohttp import hdrs, web

from auction.domain.ids import CallId
from auction.ports import OverloadedError, StorageUnavailableError
from auction.web import problems
from auction.web.bodies import MAX_BODY_BYTES, JsonObject, read_bytes
from auction.web.deciding import decide_call, decide_next, record_event
from auction.web.edge import internal_error, overloaded, unavailable
from auction.web.event_request import read_event
from auction.web.formats import fsxml
from auction.web.formats.calls import DIALED_NUMBER, call_body
from auction.web.formats.decision import Decision, read_decision
from auction.web.formats.headers import decision_headers
from auction.web.formats.links import Links, callback_key
from auction.web.formats.outcomes import Finished, read_finished
from auction.web.formats.parameters import FORM, Given, first_text, read_given
from auction.web.formats.reports import report_body
from auction.web.formats.table import Format, FormatName
from auction.web.problems import CallerMistakeError
from auction.web.services import ApiServices, Grant
from auction.web.switch_access import granted_to_switch, origin_of

MAX_REPORT_BYTES = 256 * 1024
"""FreeSWITCH tells all that it knows of a call."""

_KEPT = ("timeout_ms",)
_NO_STORE: dict[str, str] = {hdrs.CACHE_CONTROL: "no-store"}
"""An answer to a GET must never come from somebody's cache."""

_Work = Callable[[Grant, Given], Awaitable[web.Response]]


def is_form(mistake: CallerMistakeError, request: web.Request) -> bool:
    """Whether what is not JSON is a form: then it is read like one, and answered in JSON."""
    return mistake.kind is problems.NOT_JSON and request.content_type == FORM


class FormattedCalls:
    """What a switch asks in one of ``auction.web.formats``."""

    def __init__(self, services: ApiServices) -> None:
        self._services = services

    async def decide(self, request: web.Request, form: Format) -> web.Response:
        """Where does this call go? See ``auction.web.deciding``."""
        received_at = self._services.clock.now()

        async def work(grant: Grant, given: Given) -> web.Response:
            if form.name is FormatName.FSXML:
                done = await self._else_than_a_call(request, form, grant, given)
                if done is not None:
                    return done
            # our own words in JSON are checked as strictly as everywhere
            own = {**call_body(given.query), **given.body} if given.own_words else None
            asked = own or call_body(given.both)
            answer = await decide_call(self._services, grant, asked, received_at)
            return self._told(request, form, answer, given)

        return await self._answered(request, form, work, with_key=False)

    async def decide_next(self, request: web.Request, form: Format) -> web.Response:
        """An attempt failed: where does the call go now? Or it is over, and that is noted."""

        async def work(grant: Grant, given: Given) -> web.Response:
            if given.own_words:
                return await self._go_on(request, form, grant, given, given.body)
            finished = read_finished(given.both)
            if finished.goes_on:
                return await self._go_on(request, form, grant, given, finished.next_body())
            return await self._end(form, grant, finished)

        return await self._answered(request, form, work)

    async def report(
        self, request: web.Request, form: Format, max_bytes: int = MAX_REPORT_BYTES
    ) -> web.Response:
        """Answered or ended; what is neither is nothing to note.

        ``max_bytes``: what a body may have that was not read yet.
        """
        now = self._services.clock.now()

        async def work(grant: Grant, given: Given) -> web.Response:
            body = given.body if given.own_words else report_body(given.both, now)
            if body is not None:
                await self._record(grant, body)
            return web.Response(status=204, headers=_NO_STORE)

        return await self._answered(request, form, work, max_bytes=max_bytes)

    async def _answered(
        self,
        request: web.Request,
        form: Format,
        work: _Work,
        *,
        max_bytes: int = MAX_BODY_BYTES,
        with_key: bool = True,
    ) -> web.Response:
        """What the work answers; what goes wrong keeps its status and is told in the format."""
        try:
            body = await read_bytes(request, max_bytes)
            query = request.rel_url.raw_query_string
            given = read_given(query, body, request.content_type)
            grant = await granted_to_switch(
                request, self._services, form, body, given, with_key=with_key
            )
            return await work(grant, given)
        except CallerMistakeError as mistake:
            return _in_words_of(form, mistake.response())
        except StorageUnavailableError:
            return _in_words_of(form, unavailable())
        except OverloadedError:
            return _in_words_of(form, overloaded())
        except Exception:  # noqa: BLE001  # logged there; a switch reads its own form only
            return _in_words_of(form, internal_error("A request failed"))

    async def _else_than_a_call(
        self, request: web.Request, form: Format, grant: Grant, given: Given
    ) -> web.Response | None:
        """What FreeSWITCH asks at the same address; None for a call that comes in."""
        section = first_text(given.both, ["section"])
        if section not in {None, "dialplan"}:
            return _said(form, form.ended(""))
        attempt = fsxml.failed_attempt(first_text(given.both, DIALED_NUMBER))
        if attempt is None:
            return None
        finished = read_finished(given.both, attempt)
        return await self._go_on(request, form, grant, given, finished.next_body())

    async def _go_on(
        self, request: web.Request, form: Format, grant: Grant, given: Given, asked: JsonObject
    ) -> web.Response:
        answer = await decide_next(self._services, grant, asked)
        return self._told(request, form, answer, given)

    async def _end(self, form: Format, grant: Grant, finished: Finished) -> web.Response:
        await self._record(grant, finished.ended_body(self._services.clock.now()))
        return _said(form, form.ended(finished.call_id or ""))

    async def _record(self, grant: Grant, body: JsonObject) -> None:
        """A report that came before in other words changes nothing."""
        event = read_event(body, self._services.fingerprint)
        await record_event(self._services, grant, event)

    def _told(
        self, request: web.Request, form: Format, answer: bytes, given: Given
    ) -> web.Response:
        decision = read_decision(answer)
        links = self._links(request, form, decision, given)
        body = form.render(decision, links, given.both)
        return _said(form, body, decision)

    def _links(self, request: web.Request, form: Format, decision: Decision, given: Given) -> Links:
        services = self._services
        kept = {name: first_text(given.query, [name]) for name in _KEPT}
        return Links(
            base=services.signing.public_url,
            origin=origin_of(request, services.signing),
            form=form.name,
            key=callback_key(CallId(decision.call_id), services.fingerprint),
            asked_with={name: value for name, value in kept.items() if value},
        )


def _said(form: Format, body: bytes, decision: Decision | None = None) -> web.Response:
    told = {} if decision is None else decision_headers(decision)
    headers: dict[str, str] = {hdrs.CONTENT_TYPE: form.content_type, **_NO_STORE, **told}
    return web.Response(body=body, headers=headers)


def _in_words_of(form: Format, response: web.Response) -> web.Response:
    """An error with the status it has, in words that the switch can read."""
    if form.problem is not None and isinstance(response.body, bytes):
        response.body = form.problem(orjson.loads(response.body))
        response.content_type = form.content_type
    return response
