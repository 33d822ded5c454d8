"""``GET /v1/calls``: calls page by page, or all of them as a stream."""

from dataclasses import replace
from typing import Final, Protocol

import orjson
from aiohttp import hdrs, web

from auction.domain.call_list import CallFilter, CallPage, CallPlace
from auction.web.authentication import MAY_READ, granted
from auction.web.cdr_formats import CdrFormat, accepted_format
from auction.web.cdr_stream import CdrStreams, Wanted, in_parts
from auction.web.formats.table import is_decided_by_query, named_format
from auction.web.formatted import FormattedCalls
from auction.web.list_request import ListRequest, read_list_request, write_place
from auction.web.record_view import View, render_listed
from auction.web.services import ApiServices

DEFAULT_LIMIT: Final = 100

_JSON = {hdrs.CONTENT_TYPE: "application/json"}


class CallLists(Protocol):
    """What is kept of calls, in order of arrival."""

    async def list_calls(
        self,
        wanted: CallFilter,
        after: CallPlace | None,
        limit: int,
        *,
        patience_s: float | None = None,
    ) -> CallPage:
        """The first ``limit`` calls that are wanted, older than ``after``.

        ``patience_s``: how long each read may wait for its turn. Raises StorageUnavailableError.
        """


class CallListHandlers:
    """Everything that is asked about many calls."""

    def __init__(self, services: ApiServices, lists: CallLists) -> None:
        self._services = services
        self._lists = lists
        self._formatted = FormattedCalls(services)
        self._streams = CdrStreams(lists.list_calls, services.drain)

    async def show(self, request: web.Request) -> web.StreamResponse:
        """``GET /v1/calls``: newest first.

        With ``format=kv`` or another of those that ``POST /v1/calls`` knows and lists don't, it is
        a call that asks for its route, as by POST, for switches that only know GET.
        """
        asked_in = named_format(request) if is_decided_by_query(request) else None
        if asked_in is not None:
            return await self._formatted.decide(request, asked_in)
        grant = await granted(request, self._services.tokens, MAY_READ)
        asked = read_list_request(request.query)
        wanted, view = asked.narrowed(grant), View.of(grant)
        form = _form(request, asked)
        if form is not CdrFormat.JSON:
            # What comes in from now on is no part of it.
            now = self._services.clock.now()
            wanted = replace(wanted, until=min(wanted.until or now, now))
            stream = Wanted(form, view, wanted, asked.after, asked.limit)
            return await self._streams.send(request, stream)
        page = await self._lists.list_calls(wanted, asked.after, asked.limit or DEFAULT_LIMIT)
        calls: list[dict[str, object]] = []
        async for some in in_parts(page.calls):
            calls += [render_listed(each, view) for each in some]
        content = {"calls": calls, "next": page.next and write_place(page.next)}
        return web.Response(body=orjson.dumps(content), headers=_JSON)


def _form(request: web.Request, asked: ListRequest) -> CdrFormat:
    if asked.format is not None:
        return CdrFormat(asked.format)
    return accepted_format(",".join(request.headers.getall(hdrs.ACCEPT, [])))
