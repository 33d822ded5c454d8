"""The benchmark of reports reads what it has made up."""

from decimal import Decimal

from auction.domain.ids import OfferId
from benchmarks.reports.filling import Extent, add_up_days, fill_day, last_midnight
from benchmarks.reports.questions import cases, timed
from storage.database import Database
from storage.offer_pages import OfferPages


async def test_every_question_finds_the_figures_that_were_made_up(database: Database) -> None:
    extent = Extent(calls=2_000, days=3, offers=7, sources=1)
    for day in range(3):
        await fill_day(database, extent, day)
    assert await add_up_days(database) == 2
    rows = {case.title: (await timed(case, 1))[0] for case in cases(database, extent)}
    assert rows["offers, 3 days, total"] == 7
    assert rows["sources, 3 days, total"] == 1
    assert rows["offers, 24 hours, by hour"] >= 7
    found = await OfferPages(database).totals(OfferId("offer-7"), last_midnight())
    assert found.revenue == Decimal(extent.rows // extent.offers * extent.pings_per_row)
