"""Histories read from the roll-ups."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import orjson

from auction.domain.estimates import WINDOW, Results, SourceResults
from auction.domain.ids import CampaignId, OfferId, SourceId
from storage.database import Database
from storage.offer_history import OfferHistory
from tests.builders import NOON

TODAY, BEFORE, OLDEST = (
    NOON - timedelta(hours=12),
    NOON - timedelta(days=2),
    NOON - timedelta(days=26),
)
"""The middles of buckets."""

CAMPAIGNS = {CampaignId("auto-insurance")}
ACME, BEACON = OfferId("acme-auto"), OfferId("beacon-auto")
_COLUMNS = "select column_name from information_schema.columns where table_name = 'report_figures'"
_ADD = "insert into report_figures select * from jsonb_populate_record(null::report_figures, $1)"


async def add(
    database: Database,
    bucket: datetime,
    offer: str,
    source: str = "pub-17",
    kind: str = "buyer",
    counts: Mapping[str, int] | None = None,
    grain: str = "quarter",
) -> None:
    """The figures of one bucket, all 0 but for ``counts``."""
    row: dict[str, object] = {
        "grain": grain,
        "bucket": bucket.isoformat(),
        "campaign": "auto-insurance",
        "offer": offer,
        "buyer": "acme",
        "source": source,
        "class": kind,
        **{name: [] for name in ("reasons", "bid_sizes", "ping_times")},
    }
    async with database.connection() as connection:
        columns = [each["column_name"] for each in await connection.fetch(_COLUMNS)]
        content = {**dict.fromkeys(columns, 0), **row, **(counts or {})}
        await connection.execute(_ADD, orjson.dumps(content).decode())


async def test_an_offers_results_are_those_of_all_its_sources_by_age(database: Database) -> None:
    sold = {"auction_wins": 1, "posts_accepted": 1, "answered": 1}
    now = NOON - timedelta(minutes=1)
    await add(database, now, ACME, counts={**sold, "converted": 1})
    await add(database, NOON - timedelta(hours=3), ACME, "pub-18", counts=sold)
    refused = {"posts_rejected": 2, "posts_unknown": 1, "post_errors": 1}
    await add(database, now, BEACON, counts=refused)
    await add(database, NOON - timedelta(days=1, minutes=1), ACME, counts={"static_wins": 4})
    await add(database, now, ACME, kind="test", counts={"posts_accepted": 50})
    await add(database, NOON - WINDOW - timedelta(minutes=1), ACME, counts={"posts_accepted": 50})
    await add(database, now, "", counts={"calls": 9})

    found = (await OfferHistory(database).of_offers(CAMPAIGNS, NOON))()
    [campaign] = CAMPAIGNS
    assert sorted(found, key=lambda each: (each.offer, each.at)) == [
        Results(campaign, ACME, BEFORE, routed=4),
        Results(campaign, ACME, TODAY, 2, 0, 2, 2, 1),
        Results(campaign, BEACON, TODAY, refused=4),
    ]
    assert (await OfferHistory(database).of_offers([CampaignId("other")], NOON))() == []


async def test_a_day_that_was_added_up_counts_once(database: Database) -> None:
    first = NOON - timedelta(days=28)
    until = first + timedelta(days=1)
    async with database.connection() as connection:
        await connection.execute(
            "insert into report_whole_days (first, until) values ($1, $2)", first, until
        )
    accepted = {"posts_accepted": 3}
    await add(database, first, ACME, counts=accepted, grain="day")
    await add(database, first + timedelta(hours=1), ACME, counts=accepted)
    await add(database, until, ACME, counts={"posts_accepted": 1})

    found = (await OfferHistory(database).of_offers(CAMPAIGNS, NOON))()
    assert [(each.at, each.accepted) for each in found] == [(OLDEST, 4)]


async def test_a_sources_results_are_those_of_all_its_offers(database: Database) -> None:
    now = NOON - timedelta(minutes=1)
    await add(database, now, ACME, counts={"answered": 3, "converted": 1})
    await add(database, now, BEACON, counts={"answered": 2, "converted": 2})
    await add(database, now, BEACON, "", counts={"answered": 7})

    found = (await OfferHistory(database).of_sources(NOON))()
    assert found == [SourceResults(SourceId("pub-17"), TODAY, 5, 3)]
