"""Revisions that services need time for are announced ahead, by the database's clock."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from time import sleep
from typing import Any

import pytest

from auction.workbench import Workbench
from config.secret_box import SecretBox
from storage import catalogue_items, sessions
from storage.alerts import alert_turn
from storage.announcing import PACE, Due, Pace, due
from storage.catalogue import About, known, load, load_changes, load_unread, save
from storage.catalogue_items import changes, split
from storage.database import Database
from storage.managing import change
from storage.rotation import rotate
from tests.unit.test_workbench import a_market

ABOUT = About("api")
SLOW = Pace(at_once=0, base_s=20, per_offer_s=1)
"""Whatever makes an offer anew is announced."""


async def announced(
    database: Database, market: dict[str, Any], pace: Pace = SLOW
) -> tuple[int, Due | None]:
    """The newest revision after saving a marketplace, and when it is in force."""
    revision = await save(database, split(market), origin="file", pace=pace)
    return revision, await due(database, revision)


def about(waits: Due | None, seconds: float) -> bool:
    """Whether it is so long from now on; the tests may take a while."""
    return waits is not None and seconds - 15 < waits.remaining_s <= seconds


def test_few_offers_are_made_ready_at_once_and_nobody_waits_longer_than_a_minute() -> None:
    assert [PACE.ahead_s(offers) for offers in (0, 1, PACE.at_once)] == [0, 0, 0]
    assert PACE.base_s < PACE.ahead_s(PACE.at_once + 1) < PACE.ahead_s(2_000) < PACE.most_s
    assert PACE.ahead_s(10**6) == PACE.most_s == 60


async def test_what_changes_no_offer_is_in_force_when_it_is_committed(database: Database) -> None:
    await announced(database, a_market())
    renamed = a_market(auto={"private_fields": ["email"]})
    await database_forgets(database)
    revision, waits = await announced(database, renamed)
    assert (revision, waits) == (2, None)
    stored = await load(database)
    difference = changes(stored.items, split(a_market(offer={"weight": 2})))
    assert difference
    async with change(database) as under_way:
        keys = [item.key for item in difference.added]
        await under_way.save(keys, difference.added, ABOUT)
    assert under_way.in_force_at is None, "one offer is made ready within the second"


async def test_what_makes_offers_anew_is_announced_by_what_they_take(database: Database) -> None:
    assert about((await announced(database, a_market()))[1], 22)


async def test_a_change_of_what_surrounds_offers_counts_all_of_them(database: Database) -> None:
    await announced(database, a_market())
    await database_forgets(database)
    revision, waits = await announced(database, a_market(main={"time_zone": "Europe/Madrid"}))
    assert about(waits, 22)
    assert waits is not None
    assert waits.at > datetime.now(UTC) + timedelta(seconds=5)
    assert await due(database, revision + 1) is None


async def test_what_comes_meanwhile_is_in_force_with_what_it_is_built_upon(
    database: Database,
) -> None:
    _, first = await announced(database, a_market(), Pace(at_once=0, base_s=40))
    async with change(database) as under_way:
        await under_way.save([], [], ABOUT)
    second = await due(database, 2)
    assert first is not None
    assert second is not None
    assert under_way.in_force_at == second.at == first.at
    third = (await announced(database, a_market(offer={"weight": 3}), Pace(0, 50)))[1]
    assert third is not None
    assert third.at > second.at


async def test_a_shorter_wait_never_comes_before_the_one_it_follows(database: Database) -> None:
    first = (await announced(database, a_market(), Pace(0, 50)))[1]
    second = (await announced(database, a_market(offer={"weight": 3}), Pace(0, 1)))[1]
    assert first is not None
    assert second is not None
    assert second.at == first.at


async def test_a_clock_that_was_set_back_holds_nothing_up_for_longer_than_a_minute(
    database: Database,
) -> None:
    await announced(database, a_market())
    async with database.connection() as connection:
        await connection.execute(
            "update catalogue_revisions set in_force_at = clock_timestamp() + interval '9 hours'"
        )
    held_up = await due(database, 1)
    assert held_up is not None
    assert held_up.remaining_s == PACE.most_s
    waits = (await announced(database, a_market(offer={"weight": 3}), PACE))[1]
    assert waits is not None
    assert waits.remaining_s <= PACE.most_s


async def test_a_rotation_waits_for_the_revision_that_it_repeats(database: Database) -> None:
    old, new = SecretBox(bytes(range(32))), SecretBox(bytes(range(1, 33)))
    await announced(database, a_market(), Pace(0, 50))
    await rotate(database, old, new)
    first, second = await due(database, 1), await due(database, 2)
    assert first is not None
    assert second is not None
    assert second.at == first.at


async def test_alerts_are_judged_by_the_revision_in_force(database: Database) -> None:
    await announced(database, a_market(), PACE)
    await announced(database, a_market(offer={"weight": 3}), Pace(0, 50))
    async with alert_turn(database, 0) as turn:
        assert turn is not None
        assert turn.revision == 1
    await database_forgets(database)
    async with alert_turn(database, 0) as turn:
        assert turn is not None
        assert turn.revision == 2


CHANGED: Sequence[dict[str, Any]] = (
    {"offer": {"weight": 2}},
    {"offer": {"id": "another"}},
    {"beacon": {"concurrency": 3}},
    {"beacon": {"offers": []}},
    {"main": {"time_zone": "Europe/Madrid"}},
    {"main": {"currency": "EUR"}},
    {"main": {"delivery_profiles": [{"id": "house"}]}},
    {"auto": {"duplicates": {"within_days": 3}}},
    {"auto": {"segments": [{"tags": ["gold"], "when": [{"field": "age", "value": 50}]}]}},
    {"auto": {"auction": {"boosts": [{"tag": "gold", "factor": "1.5"}]}}},
    {"auto": {"private_fields": ["email"], "numbers": ["+18005550177"]}},
)


@pytest.mark.parametrize("after", CHANGED)
async def test_as_many_offers_are_reckoned_with_as_services_make_anew(
    database: Database, after: dict[str, Any]
) -> None:
    base = await save(database, split(a_market()), origin="file")
    workbench = Workbench()
    workbench.make(await load_unread(database, base), base)
    since = await known(database, base)
    assert since is not None
    pace = Pace(at_once=-1, base_s=0, per_offer_s=1_000, most_s=1e6)
    revision = await save(database, split(a_market(**after)), origin="file", pace=pace)
    reckoned = await ahead_of(database, revision)
    changed = await load_changes(database, revision, since, ())
    assert changed is not None
    update = workbench.begin(changed.items, changed.closed)
    assert reckoned == len(update.plan.offers) + len(update.stale)


async def test_what_takes_python_long_is_done_before_the_transaction_begins(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that idles is cut off, and everybody else who changes something waits for it."""
    impatient = {**sessions.SETTINGS, "idle_in_transaction_session_timeout": "200ms"}
    monkeypatch.setattr(sessions, "SETTINGS", impatient)
    offers = [{"id": f"o-{number}", "campaign": "auto"} for number in range(40)]

    class SlowJson:
        @staticmethod
        def dumps(document: object, **how: Any) -> str:
            sleep(0.02)
            return json.dumps(document, **how)

    monkeypatch.setattr(catalogue_items, "json", SlowJson)
    database = await Database.connect(dsn)
    try:
        await save(database, split(a_market(beacon={"offers": offers})), origin="file")
        changed = [{**offer, "weight": 2} for offer in offers]
        assert await save(database, split(a_market(beacon={"offers": changed})), origin="file") == 2
    finally:
        await database.close()


async def database_forgets(database: Database) -> None:
    """As if the time had passed."""
    async with database.connection() as connection:
        await connection.execute("update catalogue_revisions set in_force_at = null")


async def ahead_of(database: Database, revision: int) -> int:
    """How many thousands of seconds a revision was announced ahead."""
    async with database.connection() as connection:
        seconds = await connection.fetchval(
            "select extract(epoch from in_force_at - created_at)::float8"
            " from catalogue_revisions where revision = $1",
            revision,
        )
    return 0 if seconds is None else round(seconds / 1_000)
