"""What calls add to the figures is counted once, whenever it becomes visible."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest

from auction.domain.log_bins import bin_of
from auction.domain.report_figures import Figures
from auction.domain.report_question import By
from storage.database import Connection, Database
from storage.report_figures import figures
from storage.report_folding import Backlog, ReportFolding, read_backlog
from storage.report_upkeep import ReportUpkeep
from tests.builders import NEW_YORK, a_campaign, a_catalogue, a_static_offer, an_offer
from tests.report_steps import assert_figures_agree, fold_all, store_owners

NOON = datetime(2026, 11, 21, 12, 7, 30, tzinfo=UTC)
CATALOGUE = a_catalogue(a_campaign(an_offer("acme-auto"), a_static_offer("cobalt-auto")))
CAMPAIGN = next(iter(CATALOGUE.campaigns))
_CALL = """
    insert into calls (
        call_id, fingerprint, decide_by, received_at, revision, test, sealed, state, campaign,
        source
    )
    values ($1, '', now(), $2, 1, $3, '', 'routed', $4, $5)
"""
_TRACE = "insert into traces (call_id, received_at, attempt, trace) values ($1, $2, 1, $3)"
_DELTA = """
    insert into report_deltas (kind, call_id, attempt, received_at, campaign, source, test)
    select 'decision', call_id, 1, received_at, campaign, source, test from calls where call_id = $1
"""


def a_line(offer: str = "acme-auto", code: int | None = None, **changes: Any) -> dict[str, Any]:
    line = {"offer": offer, "code": code, "detail": None, "bid": "52.00", "ms": 20.5, "rank": 1}
    return line | changes


def a_trace(*lines: Mapping[str, Any]) -> bytes:
    return orjson.dumps({"revision": 1, "offers": lines or (a_line(),)})


async def decide(
    connection: Connection,
    call_id: str,
    trace: bytes | None = None,
    *,
    at: datetime = NOON,
    test: bool = False,
    source: str | None = "pub-17",
) -> None:
    await connection.execute(_CALL, call_id, at, test, CAMPAIGN, source)
    await connection.execute(_TRACE, call_id, at, a_trace() if trace is None else trace)
    await connection.execute(_DELTA, call_id)


async def figures_of(database: Database, by: By = By.OFFER) -> Mapping[str, Figures]:
    return await figures(database, NOON - timedelta(hours=1), NOON + timedelta(hours=1), by)


async def all_of(database: Database) -> Mapping[str, Figures]:
    week = timedelta(days=7)
    return await figures(database, NOON - week, NOON + week, By.OFFER, detailed=True)


async def test_what_is_committed_late_is_counted_when_it_is_seen(database: Database) -> None:
    await store_owners(database, CATALOGUE)
    folding = ReportFolding(database)
    async with database.connection() as others, database.transaction() as slow:
        await decide(slow, "began first")
        await decide(others, "committed first")
        await fold_all(folding)
        assert (await figures_of(database))["acme-auto"].pinged == 1
    await fold_all(folding)
    assert (await figures_of(database))["acme-auto"].pinged == 2
    await assert_figures_agree(database, CATALOGUE)


async def test_a_trace_that_is_replaced_counts_as_it_is_now(database: Database) -> None:
    await store_owners(database, CATALOGUE)
    folding = ReportFolding(database)
    replace = "update traces set trace = $2 where call_id = $1"
    timed_out = a_trace(a_line(code=101, bid=None, rank=None))
    async with database.connection() as connection:
        for call_id in ("counted already", "still to be counted"):
            await decide(connection, call_id)
            if call_id == "counted already":
                await fold_all(folding)
            await connection.execute(replace, call_id, timed_out)
    await fold_all(folding)
    found = (await figures_of(database))["acme-auto"]
    assert (found.pinged, found.timeouts, found.bids, found.auction_wins) == (2, 2, 0, 0)
    assert found.bid_total == 0
    await assert_figures_agree(database, CATALOGUE)


async def test_a_trace_that_can_not_be_read_holds_up_nobody(database: Database) -> None:
    async with database.connection() as connection:
        await decide(connection, "broken", b"{}")
        await decide(connection, "empty", b"")
        await decide(connection, "sound")
    await fold_all(ReportFolding(database))
    assert (await figures_of(database))["acme-auto"].pinged == 1


async def test_nothing_is_folded_beside_another(database: Database) -> None:
    async with database.connection() as connection:
        await decide(connection, "a call")
    async with database.transaction() as other:
        await other.execute("select pg_advisory_xact_lock(7241530009)")
        assert await ReportFolding(database).fold() == 0
    assert await ReportFolding(database).fold() == 1
    assert await ReportFolding(database).fold() == 0


async def test_what_is_known_of_offers_is_forgotten_before_it_grows_too_large(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.report_folding.KNOWN_OWNERS", 0)
    monkeypatch.setattr("storage.report_rosters.MOST_KNOWN", 0)
    await store_owners(database, CATALOGUE)
    folding = ReportFolding(database)
    async with database.connection() as connection:
        await decide(connection, "first")
        await fold_all(folding)
        await decide(connection, "second", a_trace(a_line(), a_line("cobalt-auto", 0)))
        await fold_all(folding)
    await assert_figures_agree(database, CATALOGUE)


async def test_figures_are_exact_to_the_minute(database: Database) -> None:
    await store_owners(database, CATALOGUE)
    static = a_line("cobalt-auto", bid=None, ms=None, rank=None, static=True)
    async with database.connection() as connection:
        await decide(connection, "before", at=NOON - timedelta(minutes=1))
        await decide(connection, "within")
        await decide(connection, "static", a_trace(a_line(code=0, bid=None), static))
        await decide(connection, "test", test=True)
        await decide(connection, "after", at=NOON + timedelta(minutes=1))
    await fold_all(ReportFolding(database))
    minute = NOON.replace(second=0)
    by_offer = await figures(
        database, minute, minute + timedelta(minutes=1), By.OFFER, detailed=True
    )
    acme, cobalt = by_offer["acme-auto"], by_offer["cobalt-auto"]
    assert (acme.pinged, acme.bids, acme.no_bids, acme.won) == (2, 1, 1, 1)
    assert (acme.bid_total, acme.ping_micros) == (Decimal(52), 41_000)
    assert acme.reasons == {0: 1}
    assert (cobalt.static_wins, cobalt.pinged, cobalt.eligible) == (1, 0, 1)
    by_campaign = await figures(database, minute, minute + timedelta(minutes=1), By.CAMPAIGN)
    assert (by_campaign[CAMPAIGN].calls, by_campaign[CAMPAIGN].won) == (2, 2)


async def test_figures_of_a_source_are_its_own(database: Database) -> None:
    await store_owners(database, CATALOGUE)
    async with database.connection() as connection:
        await decide(connection, "first")
        await decide(connection, "second", source="pub-18")
        await decide(connection, "third", source="pub-18")
        await decide(connection, "nobody's", source=None)
    await fold_all(ReportFolding(database))
    by_source = await figures_of(database, By.SOURCE)
    assert {name: each.calls for name, each in by_source.items()} == {"pub-17": 1, "pub-18": 2}


async def test_added_up_days_change_no_sum_whatever_comes_later(database: Database) -> None:
    await store_owners(database, CATALOGUE)
    folding, upkeep = ReportFolding(database), ReportUpkeep(database, lambda: NEW_YORK)
    hours = [NOON + timedelta(hours=5 * number) for number in range(15)]
    async with database.connection() as connection:
        for at in hours:
            await decide(connection, f"at {at}", at=at)
        await fold_all(folding)
        before = await all_of(database)
        while await upkeep.add_up(hours[-1]):
            pass
        assert await connection.fetchval("select count(*) from report_whole_days") == 3
        assert await all_of(database) == before
        for at in hours:
            await decide(connection, f"late, of {at}", at=at)
        await fold_all(folding)
        # Read from days, and from quarters as if there were no days.
        doubled = await all_of(database)
        assert doubled["acme-auto"].pinged == 30
        assert doubled["acme-auto"].ping_times == {bin_of(20_500): 30}
        await connection.execute("truncate report_whole_days")
        assert await all_of(database) == doubled


async def test_days_of_two_zones_never_overlap(database: Database) -> None:
    upkeep = ReportUpkeep(database, lambda: zones.pop(0))
    zones = [NEW_YORK, ZoneInfo("Asia/Kolkata"), ZoneInfo("Asia/Kolkata"), NEW_YORK]
    async with database.connection() as connection:
        for number in range(12):
            at = NOON + timedelta(hours=5 * number)
            await decide(connection, f"{number}", at=at)
        await fold_all(ReportFolding(database))
        before = await all_of(database)
        while zones and await upkeep.add_up(NOON + timedelta(days=9)):
            pass
        days = await connection.fetch("select first, until from report_whole_days order by first")
        assert len(days) == 4
        assert all(one["until"] <= other["first"] for one, other in pairwise(days))
    assert await all_of(database) == before


async def test_old_minutes_go_and_quarters_stay(database: Database) -> None:
    async with database.connection() as connection:
        await decide(connection, "old", at=NOON - timedelta(hours=49))
        await decide(connection, "new")
        await fold_all(ReportFolding(database))
        await ReportUpkeep(database, lambda: NEW_YORK).forget(NOON)
        rows = await connection.fetch("select grain, count(*) from report_figures group by grain")
    assert dict(map(tuple, rows)) == {"minute": 2, "quarter": 4, "source_quarter": 4}


async def test_what_waits_to_be_folded_is_counted_with_the_age_of_the_oldest(
    database: Database,
) -> None:
    assert await read_backlog(database) == Backlog(0, 0.0)
    async with database.connection() as connection:
        await decide(connection, "a call")
        await decide(connection, "another")
        age = "update report_deltas set noted_at = now() - interval '90 seconds' where call_id = $1"
        await connection.execute(age, "a call")
    backlog = await read_backlog(database)
    assert backlog.waiting == 2
    assert 90 <= backlog.oldest_s < 150
    await fold_all(ReportFolding(database))
    assert await read_backlog(database) == Backlog(0, 0.0)
