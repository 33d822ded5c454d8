"""The places of offers from revision to revision, and calls that are counted by their rosters."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from auction.domain.report_question import By, Question
from storage.catalogue import save
from storage.catalogue_items import split
from storage.database import Connection, Database
from storage.migrate import load_migrations, migrate
from storage.report_figures import FigureReader
from storage.report_folding import ReportFolding
from tests.report_steps import fold_all

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
_CALL = """
    insert into calls (
        call_id, fingerprint, decide_by, received_at, revision, test, sealed, state, campaign
    )
    values ($1, '', now(), $2, $3, false, '', 'routed', 'auto')
"""
_TRACE = "insert into traces (call_id, received_at, attempt, trace) values ($1, $2, 1, $3)"
_DELTA = """
    insert into report_deltas (kind, call_id, attempt, received_at, campaign, source, test)
    select 'decision', call_id, 1, received_at, campaign, source, test from calls where call_id = $1
"""
_OLD_ROW = """
    insert into report_figures
    select
        'quarter', $1, 'auto', offer, '', '', 'buyer', calls, 0, eligible, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '{}', '{}', '{}'
    from (values ('', 9, 0), ('acme-auto', 0, 7)) as row (offer, calls, eligible)
"""
_PLACES = "select * from offer_places order by offer, first_revision"


def a_marketplace(
    offers: Sequence[dict[str, Any]], kind: str = "buyer", company: str = "Acme"
) -> dict[str, Any]:
    acme = {"id": "acme", "company": company, "type": kind, "offers": offers}
    return {"currency": "USD", "campaigns": [{"id": "auto"}, {"id": "home"}], "buyers": [acme]}


def an_offer(name: str, campaign: str = "auto", **terms: Any) -> dict[str, Any]:
    return {"id": name, "campaign": campaign, **terms}


async def becomes(database: Database, *marketplaces: dict[str, Any]) -> None:
    for each in marketplaces:
        await save(database, split(each), origin="test")


async def places(database: Database) -> list[tuple[Any, ...]]:
    async with database.connection() as connection:
        return [tuple(row) for row in await connection.fetch(_PLACES)]


async def decide(connection: Connection, call_id: str, at: datetime, revision: int) -> None:
    await connection.execute(_CALL, call_id, at, revision)
    trace = orjson.dumps({"revision": revision, "offers": []})
    await connection.execute(_TRACE, call_id, at, trace)
    await connection.execute(_DELTA, call_id)


async def offer_calls(database: Database, since: datetime, until: datetime) -> int | None:
    question = Question(since, until, [since], By.CAMPAIGN)
    told, _ = await FigureReader(database).report(question)
    return told.calls.total()


async def test_an_offer_that_is_edited_keeps_its_place(database: Database) -> None:
    await becomes(
        database,
        a_marketplace([an_offer("one"), an_offer("two")]),
        a_marketplace([an_offer("one", enabled=False), an_offer("two")]),
        a_marketplace([an_offer("one"), an_offer("two", weight=2)], company="Acme & Sons"),
    )
    assert await places(database) == [
        ("auto", "one", "acme", "buyer", 1, None),
        ("auto", "two", "acme", "buyer", 1, None),
    ]


async def test_an_offer_that_goes_comes_back_or_moves_takes_another_place(
    database: Database,
) -> None:
    await becomes(
        database,
        a_marketplace([an_offer("one")]),
        a_marketplace([]),
        a_marketplace([an_offer("one")]),
        a_marketplace([an_offer("one", "home")]),
    )
    assert await places(database) == [
        ("auto", "one", "acme", "buyer", 1, 1),
        ("auto", "one", "acme", "buyer", 3, 3),
        ("home", "one", "acme", "buyer", 4, None),
    ]


async def test_a_buyer_of_another_type_takes_its_offers_with_it(database: Database) -> None:
    await becomes(
        database,
        a_marketplace([an_offer("one"), an_offer("two")]),
        a_marketplace([an_offer("one", weight=2), an_offer("two")], "quality_assurance"),
    )
    assert await places(database) == [
        ("auto", "one", "acme", "buyer", 1, 1),
        ("auto", "one", "acme", "quality_assurance", 2, None),
        ("auto", "two", "acme", "buyer", 1, 1),
        ("auto", "two", "acme", "quality_assurance", 2, None),
    ]


async def test_thousands_of_edits_leave_one_roster(database: Database) -> None:
    edits = [a_marketplace([an_offer("one", weight=weight)]) for weight in range(1, 30)]
    await becomes(database, *edits)
    async with database.connection() as connection:
        for revision in range(1, 30):
            await decide(connection, f"call-{revision}", NOON, revision)
    await fold_all(ReportFolding(database, 4))
    async with database.connection() as connection:
        rows = await connection.fetch("select grain, roster, calls from report_rosters")
    assert sorted(map(tuple, rows)) == [("quarter", 1, 29), ("source_quarter", 1, 29)]


async def test_what_was_there_before_the_upgrade_is_not_guessed(empty_dsn: str) -> None:
    """Figures of before stay unknown, whatever is added to their hour later."""
    steps = load_migrations()
    before = [step.name.endswith("report_rosters") for step in steps].index(True)
    await migrate(empty_dsn, steps[:before])
    database = await Database.connect(empty_dsn, max_size=2)
    try:
        await becomes(
            database,
            a_marketplace([an_offer("acme-auto"), an_offer("acme-home", "home")]),
            a_marketplace([an_offer("acme-auto", enabled=False)]),
        )
        async with database.connection() as connection:
            await connection.execute(_OLD_ROW, NOON)
            await decide(connection, "waits to be folded", NOON, 1)
        assert await migrate(empty_dsn, steps) == [step.name for step in steps[before:]]
        async with database.connection() as connection:
            await decide(connection, "comes after", NOON + HOUR, 2)
        await fold_all(ReportFolding(database))
        assert await places(database) == [
            ("auto", "acme-auto", "acme", "buyer", 1, None),
            ("home", "acme-home", "acme", "buyer", 1, 1),
        ]
        assert await offer_calls(database, NOON, NOON + HOUR) is None
        assert await offer_calls(database, NOON + HOUR, NOON + 2 * HOUR) == 1
        assert await offer_calls(database, NOON, NOON + 2 * HOUR) is None
    finally:
        await database.close()
