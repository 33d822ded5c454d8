"""The reports that are asked for, each read and rendered as the service does."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson
from multidict import MultiDict

from auction.domain.ids import OfferId
from auction.domain.report_question import By
from auction.web.report_request import read_report_request
from auction.web.report_view import Report, render_report
from benchmarks.reports.filling import ZONE, Extent
from storage.database import Database
from storage.offer_pages import OfferPages
from storage.report_figures import FigureReader, figures


@dataclass(frozen=True, slots=True)
class _Everything:
    """A token that sees all there is."""

    id: str = "benchmark"
    name: str = "benchmark"
    scopes: frozenset[str] = frozenset({"read"})
    buyer: str | None = None
    source: str | None = None
    switch: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to read; it tells how many rows the answer has."""

    title: str
    read: Callable[[], Awaitable[int]]


def cases(database: Database, extent: Extent) -> list[Case]:
    """What operators look at, and what alerts and pages read."""
    now = datetime.now(UTC)

    def since(days: int) -> str:
        return (now - timedelta(days=days)).isoformat().replace("+00:00", "Z")

    half = extent.days // 2
    reports = [
        (f"offers, {extent.days} days, total", By.OFFER, {"from": since(extent.days)}),
        (f"offers, {extent.days} days, by day", By.OFFER, _by("day", since(extent.days))),
        (f"buyers, {extent.days} days, by month", By.BUYER, _by("month", since(extent.days))),
        (f"sources, {extent.days} days, total", By.SOURCE, {"from": since(extent.days)}),
        (f"campaigns, {extent.days} days, by day", By.CAMPAIGN, _by("day", since(extent.days))),
        (
            f"offers, {half} days, total, compared",
            By.OFFER,
            {"from": since(half), "compare": "previous"},
        ),
        ("offers, 24 hours, by hour", By.OFFER, _by("hour", since(1))),
        ("one offer, 7 days, by hour", By.OFFER, _by("hour", since(7)) | {"offer": "offer-7"}),
        (
            "offers, 7 days of India, by day",
            By.OFFER,
            _by("day", since(7)) | {"time_zone": "Asia/Kolkata"},
        ),
    ]
    return [
        *(Case(title, _report(database, by, query, now)) for title, by, query in reports),
        Case("figures of the last 6 hours, by offer (alerts)", _recent(database, now)),
        Case("totals of an offer's page", _page(database, now)),
    ]


def _by(bucket: str, since: str) -> dict[str, str]:
    return {"from": since, "bucket": bucket}


def _report(
    database: Database, by: By, query: dict[str, str], now: datetime
) -> Callable[[], Awaitable[int]]:
    reader, grant = FigureReader(database), _Everything()

    async def read() -> int:
        asked = read_report_request(MultiDict(query), by, grant, now, ZONE)
        found, before = await reader.report(asked.question, asked.before)
        report = render_report(Report(asked, found, before, "USD"), grant)
        orjson.dumps(report)
        return len(found.summed)

    return read


def _recent(database: Database, now: datetime) -> Callable[[], Awaitable[int]]:
    async def read() -> int:
        return len(await figures(database, now - timedelta(hours=7), now, By.OFFER))

    return read


def _page(database: Database, now: datetime) -> Callable[[], Awaitable[int]]:
    month = now.replace(day=1, hour=5, minute=0, second=0, microsecond=0)

    async def read() -> int:
        await OfferPages(database).totals(OfferId("offer-7"), month)
        return 1

    return read


async def timed(case: Case, rounds: int) -> tuple[int, list[float]]:
    """The rows of an answer, and the seconds of each round; the first reading is not counted."""
    rows, seconds = await case.read(), []
    for _ in range(rounds):
        began = time.perf_counter()
        await case.read()
        seconds.append(time.perf_counter() - began)
    return rows, seconds
