"""The handlers under ``/v1/calls``."""

import asyncio
import re

import orjson
from aiohttp import hdrs, web

from auction.domain.call_record import CallRecord
from auction.domain.ids import CallId, CampaignId
from auction.domain.switch_events import EventResult
from auction.domain.terms import Campaign
from auction.domain.trace import Trace
from auction.web import problems
from auction.web.authentication import MAY_READ, granted, granted_to_report
from auction.web.bodies import MAX_BODY_BYTES, read_object
from auction.web.call_request import LONGEST_NAME
from auction.web.deciding import decide_call, record_event
from auction.web.event_request import read_event
from auction.web.explanation import explain, read_trace
from auction.web.formats.table import PLAIN, asked_format, named_format
from auction.web.formatted import FormattedCalls, is_form
from auction.web.own_calls import UNKNOWN_CALL
from auction.web.problems import CallerMistakeError
from auction.web.record_view import View, own_offers, render_cdr, render_history, render_trace
from auction.web.services import ApiServices

_JSON = {hdrs.CONTENT_TYPE: "application/json"}

_CONTROLS = re.compile("[\\x00-\\x1f\\x7f-\\x9f]")

_FIRST_ATTEMPT = 1


class CallHandlers:
    """Everything a switch asks about one call."""

    def __init__(self, services: ApiServices) -> None:
        self._services = services
        self._formatted = FormattedCalls(services)

    async def decide(self, request: web.Request) -> web.Response:
        """``POST /v1/calls``: where does this call go?"""
        form = asked_format(request)
        if form is not None:
            return await self._formatted.decide(request, form)
        services = self._services
        received_at = services.clock.now()
        grant = await granted_to_report(request, services.tokens)
        try:
            body = await read_object(request)
        except CallerMistakeError as mistake:
            if is_form(mistake, request):
                return await self._formatted.decide(request, PLAIN)
            raise
        answer = await decide_call(services, grant, body, received_at)
        return web.Response(body=answer, headers=_JSON)

    async def report(self, request: web.Request) -> web.Response:
        """``POST /v1/calls/events``: answered or ended."""
        form = asked_format(request)
        if form is not None:
            return await self._formatted.report(request, form)
        return await self._report_in_json(request)

    async def next_by_query(self, request: web.Request) -> web.Response:
        """``GET /v1/calls/next``: as by POST, for switches that only know GET.

        ``format`` must be given; without, a call of that name is shown.
        """
        form = named_format(request)
        if form is None:
            return await self._shown(request, "next")
        return await self._formatted.decide_next(request, form)

    async def report_by_query(self, request: web.Request) -> web.Response:
        """``GET /v1/calls/events``: as by POST, for switches that only know GET.

        ``format`` must be given; without, a call of that name is shown.
        """
        form = named_format(request)
        if form is None:
            return await self._shown(request, "events")
        return await self._formatted.report(request, form)

    async def _report_in_json(self, request: web.Request) -> web.Response:
        grant = await granted_to_report(request, self._services.tokens)
        try:
            body = await read_object(request)
        except CallerMistakeError as mistake:
            if is_form(mistake, request):
                return await self._formatted.report(request, PLAIN, MAX_BODY_BYTES)
            raise
        event = read_event(body, self._services.fingerprint)
        result = await record_event(self._services, grant, event)
        if result is EventResult.OTHER_CONTENT:
            raise CallerMistakeError(
                problems.CONFLICT, "This event_id was reported before with other content."
            )
        return _json({"call_id": event.call_id, "event_id": event.event_id, "result": result.value})

    async def show(self, request: web.Request) -> web.Response:
        """``GET /v1/calls/{call_id}``: the CDR and why the call went where it went."""
        return await self._shown(request, request.match_info["call_id"])

    async def _shown(self, request: web.Request, call_id: str) -> web.Response:
        grant = await granted(request, self._services.tokens, MAY_READ)
        view = View.of(grant)
        record = await self._find(call_id)
        if record is None:
            raise CallerMistakeError(problems.NOT_FOUND, UNKNOWN_CALL)
        traces = _traces(record)
        campaigns = await self._campaigns_of(record, traces)
        own = own_offers(campaigns.values(), record, view.buyer)
        if not view.allows(record, own):
            raise CallerMistakeError(problems.NOT_FOUND, UNKNOWN_CALL)
        entries = await self._services.records.get_entries(record.call.call_id)

        def explained_traces() -> dict[int, dict[str, object]]:
            return {
                attempt: render_trace(
                    trace, explain(campaigns[trace.revision], record.call, trace), view, own
                )
                for attempt, trace in traces.items()
            }

        # Thousands of offers take a while; calls go on being decided meanwhile.
        explained = await asyncio.to_thread(explained_traces)
        return _json(
            {
                "cdr": render_cdr(record, view, own),
                "trace": explained.pop(_FIRST_ATTEMPT, None),
                "next": [{"attempt": each, **trace} for each, trace in explained.items()],
                "conversions": render_history(entries, record, view, own),
            }
        )

    async def _find(self, call_id: str) -> CallRecord | None:
        if len(call_id) > LONGEST_NAME or _CONTROLS.search(call_id):
            return None
        return await self._services.records.get_call(CallId(call_id))

    async def _campaigns_of(
        self, record: CallRecord, traces: dict[int, Trace]
    ) -> dict[int, Campaign | None]:
        """The call's campaign as it was at each of its decisions, by revision."""
        revisions = sorted({record.revision, *(trace.revision for trace in traces.values())})
        return {each: await self._campaign_at(each, record.campaign) for each in revisions}

    async def _campaign_at(self, revision: int, campaign: CampaignId | None) -> Campaign | None:
        if campaign is None:
            return None
        catalogue = await self._services.revisions.catalogue_at(revision)
        return None if catalogue is None else catalogue.campaigns.get(campaign)


def _traces(record: CallRecord) -> dict[int, Trace]:
    """The traces of a call's decisions by attempt."""
    first = [] if record.trace is None else [(_FIRST_ATTEMPT, record.trace)]
    return {attempt: read_trace(stored) for attempt, stored in (*first, *record.later_traces)}


def _json(content: dict[str, object]) -> web.Response:
    return web.Response(body=orjson.dumps(content), headers=_JSON)
