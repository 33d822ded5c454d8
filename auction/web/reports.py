"""``GET /v1/reports/offers|buyers|sources|campaigns``."""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import orjson
from aiohttp import hdrs, web

from auction.domain.report_question import By, Question
from auction.domain.report_rosters import OfferCalls, Reported
from auction.domain.terms import Catalogue
from auction.ports import Clock, StorageUnavailableError
from auction.web.authentication import MAY_VIEW, granted
from auction.web.cdr_formats import CdrFormat, accepted_format
from auction.web.problems import Fault, invalid
from auction.web.report_request import MOST_ROWS, read_report_request
from auction.web.report_view import Report, render_csv, render_report
from auction.web.services import Grant, Tokens

REPORTS: Final = {f"{by.value}s": by for by in By}
"""The reports by their names in paths."""

_JSON: Final = {hdrs.CONTENT_TYPE: "application/json"}
_CSV: Final = {hdrs.CONTENT_TYPE: "text/csv"}


class FigureReader(Protocol):
    """Where figures are read."""

    async def report(
        self, question: Question, before: Question | None
    ) -> tuple[Reported, Reported | None]:
        """The figures of both questions. Raises StorageUnavailableError."""


class ReportHandlers:
    """Reports over any time. ``terms`` gives the marketplace in force, None before the first."""

    def __init__(
        self,
        reader: FigureReader,
        tokens: Tokens,
        clock: Clock,
        terms: Callable[[], Catalogue | None],
    ) -> None:
        self._reader = reader
        self._tokens = tokens
        self._clock = clock
        self._terms = terms

    def add_to(self, router: web.UrlDispatcher) -> None:
        """The paths of the reports."""
        for name in REPORTS:
            router.add_get(f"/v1/reports/{name}", self.show)

    async def show(self, request: web.Request) -> web.Response:
        """What calls came to over some time, by offer, buyer, source or campaign."""
        grant = await granted(request, self._tokens, MAY_VIEW)
        report = await self._read(request, grant)
        form = report.asked.form or _accepted(request)
        # Thousands of rows take a while; calls go on being decided meanwhile.
        if form == "csv":
            return web.Response(
                body=await asyncio.to_thread(render_csv, report, grant), headers=_CSV
            )
        content = await asyncio.to_thread(lambda: orjson.dumps(render_report(report, grant)))
        return web.Response(body=content, headers=_JSON)

    async def _read(self, request: web.Request, grant: Grant) -> Report:
        terms = self._terms()
        if terms is None:
            raise StorageUnavailableError("the marketplace is not loaded yet")
        by = REPORTS[request.path.rpartition("/")[2]]
        asked = read_report_request(request.query, by, grant, self._clock.now(), terms.zone)
        if asked.nothing:
            nothing = Reported((), OfferCalls({}, ()))
            return Report(asked, nothing, nothing if asked.before else None, terms.currency)
        now, before = await self._reader.report(asked.question, asked.before)
        for reported in (now, before):
            if reported is not None and len(reported.summed) > MOST_ROWS:
                text = f"gives more than {MOST_ROWS} rows: ask for less, or a larger bucket"
                raise invalid(Fault("bucket", text))
        return Report(asked, now, before, terms.currency)


def _accepted(request: web.Request) -> str:
    accepts = ",".join(request.headers.getall(hdrs.ACCEPT, []))
    return "csv" if accepted_format(accepts) is CdrFormat.CSV else "json"
