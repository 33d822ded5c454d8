"""``GET /v1/reports/…`` on a real socket, over figures in a real database."""

import csv
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest_asyncio
from aiohttp import web

from auction.domain.report_figures import FigureClass, Figures
from auction.domain.terms import Catalogue
from auction.web.drain import Drain
from auction.web.edge import edge
from auction.web.reports import ReportHandlers
from auction.web.services import Grant
from storage.database import Database
from storage.queries import query
from storage.report_figures import FigureReader
from storage.report_rows import RowKey, figure_columns
from tests.builders import a_catalogue
from tests.http.api_fakes import FakeGrant, a_client, a_grant, serving

NOON = datetime(2026, 11, 21, 17, tzinfo=UTC)
DAY = timedelta(days=1)
ADD = query("add_figures")
SOLD = Figures(
    eligible=5,
    pinged=4,
    bids=3,
    timeouts=1,
    auction_wins=2,
    posts_accepted=2,
    posts_rejected=1,
    answered=2,
    completed=1,
    converted=1,
    bid_total=Decimal(150),
    revenue=Decimal("52.00"),
    payout=Decimal("20.00"),
    reasons={101: 1, 305: 1, 401: 1},
)


class Stage:
    """Reports asked for as one token at one moment."""

    def __init__(self, database: Database, session: aiohttp.ClientSession, base: str) -> None:
        self.database, self.session, self.base = database, session, base
        self.grant: FakeGrant | None = a_grant("read")

    def now(self) -> datetime:
        return NOON

    def monotonic(self) -> float:
        return 0.0

    async def lookup(self, token: str) -> FakeGrant | None:
        return self.grant

    def wait_s(self, grant: Grant) -> float:
        return 0.0

    def terms(self) -> Catalogue:
        return a_catalogue()

    async def ask(self, path: str, status: int = 200, **headers: str) -> aiohttp.ClientResponse:
        headers = {"Authorization": "Bearer x", **headers}
        response = await self.session.get(f"{self.base}{path}", headers=headers)
        assert response.status == status, await response.text()
        return response

    async def report(self, path: str, status: int = 200) -> dict[str, Any]:
        content: dict[str, Any] = await (await self.ask(path, status)).json()
        return content

    async def add(
        self,
        figures: Figures,
        at: datetime = NOON - timedelta(hours=1),
        *,
        offer: str = "acme-auto",
        buyer: str = "acme",
        source: str = "pub-17",
        campaign: str = "auto",
        kind: FigureClass = FigureClass.SOLD,
    ) -> None:
        by_source = RowKey("source_quarter", at, campaign, offer, buyer, source, kind.value)
        over_all = by_source._replace(grain="quarter", source="")
        rows = {by_source: figures, over_all: figures}
        async with self.database.connection() as connection:
            await connection.execute(ADD, *figure_columns(rows))


@pytest_asyncio.fixture
async def stage(database: Database) -> AsyncIterator[Stage]:
    async with a_client() as session:
        stage = Stage(database, session, "")
        handlers = ReportHandlers(FigureReader(database), stage, stage, stage.terms)
        application = web.Application(middlewares=[edge(Drain())])
        handlers.add_to(application.router)
        async with serving(application) as port:
            stage.base = f"http://127.0.0.1:{port}"
            yield stage


async def test_a_report_tells_counts_money_rates_and_what_they_are_of(stage: Stage) -> None:
    await stage.add(SOLD)
    await stage.add(SOLD, source="pub-18")
    await stage.add(Figures(calls=9, unrouted=1), offer="", buyer="")
    report = await stage.report("/v1/reports/offers")
    assert report["report"] == "offers"
    assert (report["from"], report["to"]) == ("2026-11-20T17:00:00Z", "2026-11-21T17:00:00Z")
    assert (report["time_zone"], report["currency"]) == ("America/New_York", "USD")
    assert report["denominators"]["win_rate"] == "won_by_auction / bids"
    (row,) = report["rows"]
    assert (row["offer"], row["buyer"], row["campaign"]) == ("acme-auto", "acme", "auto")
    assert (row["eligible"], row["pinged"], row["bids"], row["timeouts"]) == (10, 8, 6, 2)
    assert (row["won"], row["post_accepted"], row["post_rejected"]) == (4, 4, 2)
    assert (row["revenue"], row["payout"], row["margin"]) == ("104.00", "40.00", "64.00")
    assert (row["bid_rate"], row["accept_rate"], row["average_bid"]) == (0.75, 0.6667, "50.00")
    assert row["reasons"] == {"timeout": 2, "outbid": 2, "post_rejected": 2}
    assert "calls" not in row
    assert {**row, **report["totals"]} == row
    campaigns = await stage.report("/v1/reports/campaigns")
    assert [(each["calls"], each["no_route"], each["won"]) for each in campaigns["rows"]] == [
        (9, 1, 4)
    ]


async def test_days_are_those_of_the_zone_that_is_asked_for(stage: Stage) -> None:
    """A quarter of an hour that ends a day in Nepal, whose clocks stand at :45."""
    midnight = datetime(2026, 11, 20, tzinfo=ZoneInfo("Asia/Kathmandu")).astimezone(UTC)
    await stage.add(SOLD, midnight - timedelta(minutes=15))
    await stage.add(SOLD, midnight)
    asked = "from=2026-11-19&to=2026-11-21&bucket=day&time_zone=Asia/Kathmandu"
    report = await stage.report(f"/v1/reports/buyers?{asked}")
    assert [(row["from"], row["to"], row["won"]) for row in report["rows"]] == [
        ("2026-11-18T18:15:00Z", "2026-11-19T18:15:00Z", 2),
        ("2026-11-19T18:15:00Z", "2026-11-20T18:15:00Z", 2),
    ]


async def test_what_was_and_is_no_more_is_seen_in_the_comparison(stage: Stage) -> None:
    await stage.add(SOLD, NOON - DAY - timedelta(hours=1))
    await stage.add(SOLD, NOON - DAY - timedelta(hours=1), offer="gone-auto", buyer="gone")
    await stage.add(replace(SOLD, revenue=Decimal(78)))
    report = await stage.report("/v1/reports/offers?compare=previous")
    assert report["compared_with"] == {"from": "2026-11-19T17:00:00Z", "to": "2026-11-20T17:00:00Z"}
    acme, gone = report["rows"]
    assert (acme["revenue"], acme["previous"]["revenue"], acme["trend"]["revenue"]) == (
        *("78.00", "52.00"),
        0.5,
    )
    assert (gone["offer"], gone["won"], gone["trend"]["won"]) == ("gone-auto", 0, -1.0)
    assert report["totals"]["trend"]["pinged"] == -0.5


async def test_what_is_not_sold_is_reported_apart(stage: Stage) -> None:
    await stage.add(SOLD)
    for kind in (FigureClass.TEST, FigureClass.QUALITY_ASSURANCE, FigureClass.VOICE_BOT):
        await stage.add(Figures(static_wins=1), offer=kind.value, buyer=kind.value, kind=kind)
    report = await stage.report("/v1/reports/buyers")
    assert [row["buyer"] for row in report["rows"]] == ["acme"]
    assert report["totals"]["won"] == 2
    assert {name: [row["buyer"] for row in rows] for name, rows in report["apart"].items()} == {
        name: [name] for name in ("quality_assurance", "voice_bot", "test")
    }


async def test_filters_narrow_a_report(stage: Stage) -> None:
    await stage.add(SOLD)
    await stage.add(SOLD, offer="acme-home", campaign="home", source="pub-18")
    await stage.add(SOLD, offer="beacon-auto", buyer="beacon", source="")
    for path, names in {
        "offers?campaign=home": ["acme-home"],
        "offers?buyer=acme": ["acme-auto", "acme-home"],
        "offers?source=pub-17": ["acme-auto"],
        "sources?offer=acme-auto": ["pub-17"],
        "sources?buyer=beacon": [None],
        "offers?from=2026-11-01&to=2026-11-02": [],
    }.items():
        report = await stage.report(f"/v1/reports/{path}")
        key = report["report"][:-1]
        assert [row[key] for row in report["rows"]] == names, path


async def test_a_buyer_sees_its_own_and_not_what_is_paid_for_it(stage: Stage) -> None:
    await stage.add(SOLD)
    await stage.add(SOLD, offer="beacon-auto", buyer="beacon")
    await stage.add(Figures(calls=9), offer="", buyer="")
    stage.grant = a_grant("read", buyer="beacon")
    (row,) = (await stage.report("/v1/reports/offers"))["rows"]
    assert (row["offer"], row["revenue"]) == ("beacon-auto", "52.00")
    assert {"payout", "margin", "calls"}.isdisjoint(row)
    assert (await stage.report("/v1/reports/offers?buyer=acme"))["rows"] == []
    (row,) = (await stage.report("/v1/reports/campaigns"))["rows"]
    assert row["won"] == 2
    text = await (await stage.ask("/v1/reports/offers?format=csv&compare=previous")).text()
    assert "acme" not in text
    assert "payout" not in text


async def test_a_source_sees_its_own_and_not_what_it_is_sold_for(stage: Stage) -> None:
    await stage.add(SOLD)
    await stage.add(SOLD, source="pub-18")
    await stage.add(Figures(calls=9), offer="", buyer="", source="pub-18")
    stage.grant = a_grant("read", source="pub-18")
    (row,) = (await stage.report("/v1/reports/sources"))["rows"]
    assert (row["source"], row["calls"], row["won"], row["payout"]) == ("pub-18", 9, 2, "20.00")
    assert {"revenue", "margin", "bids", "average_bid", "reasons"}.isdisjoint(row)
    assert (await stage.report("/v1/reports/sources?source=pub-17"))["totals"]["won"] == 0


async def test_a_source_is_not_told_who_was_offered_its_calls_in_vain(stage: Stage) -> None:
    await stage.add(SOLD)
    await stage.add(Figures(eligible=5, pinged=5), offer="beacon-auto", buyer="beacon")
    stage.grant = a_grant("read", source="pub-17")
    for path, key, sold in (("offers", "offer", "acme-auto"), ("buyers", "buyer", "acme")):
        rows = (await stage.report(f"/v1/reports/{path}"))["rows"]
        assert [row[key] for row in rows] == [sold]


async def test_a_loss_is_a_number_in_a_file(stage: Stage) -> None:
    await stage.add(replace(SOLD, revenue=Decimal("18.00")))
    response = await stage.ask("/v1/reports/offers", Accept="text/csv")
    (row,) = csv.DictReader(StringIO(await response.text()))
    assert row["margin"] == "-2.00"


async def test_a_file_has_the_rows_of_the_report(stage: Stage) -> None:
    await stage.add(SOLD, offer="=cmd()", buyer="acme")
    await stage.add(Figures(pinged=1, timeouts=1), kind=FigureClass.TEST)
    path = "/v1/reports/offers?compare=previous"
    response = await stage.ask(path, Accept="text/csv")
    assert response.content_type == "text/csv"
    rows = list(csv.DictReader(StringIO(await response.text())))
    assert [(row["class"], row["offer"]) for row in rows] == [
        ("buyer", "'=cmd()"),
        ("test", "acme-auto"),
    ]
    assert (rows[0]["revenue"], rows[0]["previous_revenue"], rows[0]["trend_revenue"]) == (
        *("52.00", "0.00"),
        "",
    )
    assert rows[0]["reasons"] == '{"timeout":1,"outbid":1,"post_rejected":1}'
    plain = await (await stage.ask("/v1/reports/offers?format=csv")).text()
    assert "previous" not in plain


async def test_bad_questions_are_told_what_is_wrong(stage: Stage) -> None:
    for asked, path in {
        "from=yesterday": "from",
        "to=1999-12-31": "to",
        "from=2026-11-22": "from",
        "bucket=week": "bucket",
        "time_zone=Mars/Base": "time_zone",
        "compare=next": "compare",
        "limit=3": "limit",
        "offer=": "offer",
        "format=xml": "format",
        "from=2020-01-01&bucket=hour": "bucket",
        "from=2026-11-01&from=2026-11-02": "from",
    }.items():
        problem = await stage.report(f"/v1/reports/offers?{asked}", 422)
        assert [each["path"] for each in problem["errors"]] == [path], asked
    await stage.ask("/v1/reports/switches", 404)
    for scope in ("postback", "calls"):
        stage.grant = a_grant(scope)
        await stage.ask("/v1/reports/offers", 403)
    stage.grant = None
    await stage.ask("/v1/reports/offers", 401)
