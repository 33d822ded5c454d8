"""CDRs as one long answer: as fast as the client reads, page by page, in memory that stays flat."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from aiohttp import hdrs, web

from auction.domain.call_list import CallFilter, CallPage, CallPlace
from auction.domain.call_record import CallRecord
from auction.ports import StorageUnavailableError
from auction.web import problems
from auction.web.cdr_formats import CdrFormat, render_cdrs, render_head
from auction.web.drain import Drain
from auction.web.problems import CallerMistakeError
from auction.web.record_view import View, render_listed

logger = logging.getLogger(__name__)

MOST_STREAMS: Final = 2
"""How many are sent at the same time by this process."""

PAGE: Final = 1000
AT_A_TIME: Final = 32
"""How many CDRs are made in one go: calls that are being decided go between."""

PATIENCE_S: Final = 30.0
"""How long a stream waits for its turn to read."""

UNREAD_S: Final = 30.0
"""How long a client may leave unread what it was sent."""

RETRY_AFTER_S: Final = 30


class ListCalls(Protocol):
    """See ``auction.web.call_list.CallLists.list_calls``."""

    def __call__(
        self,
        wanted: CallFilter,
        after: CallPlace | None,
        limit: int,
        *,
        patience_s: float | None = None,
    ) -> Awaitable[CallPage]: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be sent: calls older than ``after``, at most ``limit``, as ``view`` sees them."""

    form: CdrFormat
    view: View
    calls: CallFilter
    after: CallPlace | None
    limit: int | None


class CdrStreams:
    """Sends streams, a few at a time. One that can't be finished is cut off, so that it shows."""

    def __init__(self, list_calls: ListCalls, drain: Drain) -> None:
        self._list_calls = list_calls
        self._drain = drain
        self._open = 0

    async def send(self, request: web.Request, wanted: Wanted) -> web.StreamResponse:
        """Answer with all that is wanted; its calls have an ``until``."""
        if self._open >= MOST_STREAMS:
            raise CallerMistakeError(
                problems.UNAVAILABLE,
                f"{MOST_STREAMS} streams are being sent already; ask again later.",
                headers={hdrs.RETRY_AFTER: str(RETRY_AFTER_S)},
            )
        self._open += 1
        try:
            return await self._answer(request, wanted)
        finally:
            self._open -= 1

    async def _answer(self, request: web.Request, wanted: Wanted) -> web.StreamResponse:
        # The first page is read before anything is sent: what fails here is told as a problem.
        page = await self._page(wanted, wanted.after, wanted.limit)
        response = web.StreamResponse(headers=_headers(wanted.form, wanted.calls.until))
        try:
            await response.prepare(request)
            if request.method != hdrs.METH_HEAD:
                await self._send_from(page, request, response, wanted)
        except (ConnectionError, TimeoutError, StorageUnavailableError) as error:
            logger.info("A list of calls was cut off: %s", error, extra={"action": "cdr_stream"})
            _cut(request)
        except Exception:
            _cut(request)
            raise
        return response

    async def _send_from(
        self,
        page: CallPage,
        request: web.Request,
        response: web.StreamResponse,
        wanted: Wanted,
    ) -> None:
        """Send a page and all that follow it."""
        left = wanted.limit
        await _write(response, render_head(wanted.form))
        while True:
            async for calls in in_parts(page.calls):
                cdrs = [render_listed(each, wanted.view) for each in calls]
                self._stop_if_in_vain(request)
                await _write(response, render_cdrs(wanted.form, cdrs))
            left = None if left is None else left - len(page.calls)
            if page.next is None or left == 0:
                return
            self._stop_if_in_vain(request)
            page = await self._page(wanted, page.next, left)

    async def _page(self, wanted: Wanted, after: CallPlace | None, left: int | None) -> CallPage:
        limit = PAGE if left is None else min(left, PAGE)
        return await self._list_calls(wanted.calls, after, limit, patience_s=PATIENCE_S)

    def _stop_if_in_vain(self, request: web.Request) -> None:
        if self._drain.draining:
            raise ConnectionAbortedError("the service is going down")
        if request.transport is None or request.transport.is_closing():
            raise ConnectionResetError("the client has gone away")


async def in_parts(calls: Sequence[CallRecord]) -> AsyncIterator[Sequence[CallRecord]]:
    """A few calls at a time, with room for others between."""
    for start in range(0, len(calls), AT_A_TIME):
        yield calls[start : start + AT_A_TIME]
        await asyncio.sleep(0)


async def _write(response: web.StreamResponse, part: bytes) -> None:
    if part:
        async with asyncio.timeout(UNREAD_S):
            await response.write(part)


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _headers(form: CdrFormat, until: datetime | None) -> dict[str, str]:
    name = "calls" if until is None else f"calls-{until:%Y%m%dT%H%M%SZ}"
    charset = "; charset=utf-8" if form is CdrFormat.CSV else ""
    return {
        hdrs.CONTENT_TYPE: f"{form.media_type}{charset}",
        hdrs.CONTENT_DISPOSITION: f'attachment; filename="{name}.{form.value}"',
        hdrs.CACHE_CONTROL: "no-store",
    }
