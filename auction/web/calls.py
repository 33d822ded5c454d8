"""The handlers under ``/v1/calls``."""

import re

import orjson
from aiohttp import hdrs, web

from auction.domain.decision import CallRecord, EventResult, OtherContent
from auction.domain.ids import CallId
from auction.domain.terms import Campaign
from auction.web import problems
from auction.web.authentication import MAY_READ, MAY_REPORT, granted
from auction.web.bodies import read_object
from auction.web.call_request import LONGEST_NAME, CallRequest, call_fingerprint, read_call_request
from auction.web.event_request import read_event
from auction.web.explanation import explain, read_trace
from auction.web.problems import CallerMistakeError
from auction.web.record_view import View, own_offers, render_cdr, render_trace
from auction.web.services import ApiServices, Grant

_JSON = {hdrs.CONTENT_TYPE: "application/json"}

_CONTROLS = re.compile("[\\x00-\\x1f\\x7f-\\x9f]")

_UNKNOWN_CALL = "There is no call with this call_id."


class CallHandlers:
    """Everything a switch asks about one call."""

    def __init__(self, services: ApiServices) -> None:
        self._services = services

    async def decide(self, request: web.Request) -> web.Response:
        """``POST /v1/calls``: where does this call go?"""
        services = self._services
        received_at = services.clock.now()
        grant = await granted(request, services.tokens, MAY_REPORT)
        body = await read_object(request)
        asked = read_call_request(body)
        _refuse_other_source(asked, grant)
        call = asked.to_call(grant, received_at, services.default_country())
        content = call_fingerprint(body, services.fingerprint)
        answer = await services.reception.decide(call, content)
        if isinstance(answer, OtherContent):
            raise CallerMistakeError(
                problems.CONFLICT, "This call_id was decided before with other content."
            )
        return web.Response(body=answer, headers=_JSON)

    async def report(self, request: web.Request) -> web.Response:
        """``POST /v1/calls/events``: answered or ended."""
        await granted(request, self._services.tokens, MAY_REPORT)
        event = read_event(await read_object(request), self._services.fingerprint)
        result = await self._services.events.record(event)
        if result is EventResult.UNKNOWN_CALL:
            raise CallerMistakeError(problems.NOT_FOUND, _UNKNOWN_CALL)
        if result is EventResult.OTHER_CONTENT:
            raise CallerMistakeError(
                problems.CONFLICT, "This event_id was reported before with other content."
            )
        return _json({"call_id": event.call_id, "event_id": event.event_id, "result": result.value})

    async def show(self, request: web.Request) -> web.Response:
        """``GET /v1/calls/{call_id}``: the CDR and why the call went where it went."""
        grant = await granted(request, self._services.tokens, MAY_READ)
        view = View.of(grant)
        record = await self._find(request.match_info["call_id"])
        if record is None or not view.allows(record):
            raise CallerMistakeError(problems.NOT_FOUND, _UNKNOWN_CALL)
        campaign = await self._campaign_of(record)
        own = own_offers(campaign, record)
        return _json(
            {
                "cdr": render_cdr(record, view, own),
                "trace": _trace(record, campaign, view, own),
            }
        )

    async def _find(self, call_id: str) -> CallRecord | None:
        if len(call_id) > LONGEST_NAME or _CONTROLS.search(call_id):
            return None
        return await self._services.records.get_call(CallId(call_id))

    async def _campaign_of(self, record: CallRecord) -> Campaign | None:
        if record.campaign is None:
            return None
        catalogue = await self._services.revisions.catalogue_at(record.revision)
        return None if catalogue is None else catalogue.campaigns.get(record.campaign)


def _trace(
    record: CallRecord, campaign: Campaign | None, view: View, own: frozenset[str]
) -> dict[str, object] | None:
    if record.trace is None:
        return None
    trace = read_trace(record.trace)
    entries = explain(campaign, record.call, trace)
    if view.buyer is not None:
        entries = tuple(entry for entry in entries if entry.offer in own)
    elif view.source is not None:
        entries = ()
    return render_trace(trace, entries, view)


def _refuse_other_source(asked: CallRequest, grant: Grant) -> None:
    if grant.source is not None and asked.source and asked.source != grant.source:
        raise CallerMistakeError(
            problems.FORBIDDEN, "This token is bound to a source; the call names another."
        )


def _json(content: dict[str, object]) -> web.Response:
    return web.Response(body=orjson.dumps(content), headers=_JSON)
