"""The marketplace's revisions on a real server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from storage import follower
from storage.catalogue import first_come, latest, load, save
from storage.catalogue_items import CAMPAIGN, OFFER, join, split
from storage.database import Database
from storage.embedded import EmbeddedServer
from storage.errors import RevisionConflictError
from storage.follower import CatalogueFollower
from storage.migrate import migrate
from tests.eventually import eventually
from tests.postgres_fixtures import QUICK

MARKETPLACE: dict[str, Any] = yaml.safe_load("""
currency: USD
campaigns:
  - {id: zebra, name: Zebra, numbers: ["+18005550100"]}
  - {id: ant, name: Ameise – fourmi}
buyers:
  - id: two
    name: Two
    offers:
      - {id: two-b, campaign: ant, weight: 1.5}
      - {id: two-a, campaign: zebra}
  - {id: one, name: One, offers: [{id: one-a, campaign: ant}]}
  - {id: none, name: Without offers}
sources:
  - {id: pub, name: Publisher}
time_zone: America/Chicago
""")

COUNT_ROWS = "select count(*) from catalogue_items where first_revision = $1"


async def test_an_empty_database_has_revision_zero_with_nothing_in_it(database: Database) -> None:
    stored = await load(database)
    assert (stored.revision, stored.items) == (0, ())
    assert join(stored.items) == {}
    assert await latest(database) is None


async def test_what_was_saved_is_loaded_in_the_same_order(database: Database) -> None:
    assert await save_marketplace(database, MARKETPLACE) == 1
    stored = await load(database)
    assert stored.revision == 1
    assert in_order(join(stored.items)) == in_order(MARKETPLACE)


async def test_the_newest_revision_says_where_it_came_from(database: Database) -> None:
    await save(
        database,
        split(MARKETPLACE),
        origin="file",
        actor="someone",
        file_name="market.yaml",
        file_digest="abc",
        note="first",
    )
    info = await latest(database)
    assert info is not None
    assert (info.revision, info.origin, info.actor) == (1, "file", "someone")
    assert (info.file_name, info.file_digest, info.note) == ("market.yaml", "abc", "first")
    assert info.created_at.tzinfo is not None


async def test_saving_the_same_again_makes_no_revision(database: Database) -> None:
    await save_marketplace(database, MARKETPLACE)
    assert await save_marketplace(database, deepcopy(MARKETPLACE)) == 1
    stored = await load(database)
    assert await save(database, stored.items, origin="api") == 1


async def test_only_what_differs_is_written(database: Database) -> None:
    await save_marketplace(database, MARKETPLACE)
    changed = deepcopy(MARKETPLACE)
    changed["buyers"][0]["offers"][0]["weight"] = 2
    assert await save_marketplace(database, changed) == 2
    assert await rows_added_in(database, 2) == 1


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_an_offer_put_between_others_moves_none_of_them(
    database: Database, place: int
) -> None:
    await save_marketplace(database, MARKETPLACE)
    changed = deepcopy(MARKETPLACE)
    changed["buyers"][0]["offers"].insert(place, {"id": "new", "campaign": "ant"})
    await save_marketplace(database, changed)
    assert await rows_added_in(database, 2) == 1
    assert join((await load(database)).items) == changed


async def test_an_offer_that_changes_its_buyer_keeps_its_id(database: Database) -> None:
    await save_marketplace(database, MARKETPLACE)
    changed = deepcopy(MARKETPLACE)
    changed["buyers"][1]["offers"].append(changed["buyers"][0]["offers"].pop())
    await save_marketplace(database, changed)
    assert await rows_added_in(database, 2) == 1
    assert join((await load(database)).items) == changed


async def test_earlier_revisions_stay_as_they_were(database: Database) -> None:
    versions = [deepcopy(MARKETPLACE)]
    for number in range(6):
        following = deepcopy(versions[-1])
        following["time_zone"] = f"Etc/GMT+{number}"
        following["campaigns"].reverse()
        following["buyers"][1]["offers"].append({"id": f"n{number}", "campaign": "ant"})
        following["buyers"][0]["offers"].reverse()
        following["buyers"][1]["offers"].pop(0)
        versions.append(following)
    for number, version in enumerate(versions, start=1):
        assert await save_marketplace(database, version) == number
    for number, version in enumerate(versions, start=1):
        assert in_order(join((await load(database, number)).items)) == in_order(version)


async def test_what_was_removed_can_come_back(database: Database) -> None:
    await save_marketplace(database, MARKETPLACE)
    await save_marketplace(database, {"currency": "USD"})
    assert await save_marketplace(database, MARKETPLACE) == 3
    assert join((await load(database)).items) == MARKETPLACE


async def test_who_came_first_counts_from_the_first_revision_ever(database: Database) -> None:
    async def oldest(revision: int, limit: int = 10) -> Sequence[str]:
        return await first_come(database, OFFER, revision, limit)

    assert await oldest(0) == []
    await save_marketplace(database, MARKETPLACE)
    without, changed = deepcopy(MARKETPLACE), deepcopy(MARKETPLACE)
    without["buyers"][0]["offers"].pop(1)
    without["buyers"][1]["offers"].insert(0, {"id": "a-new", "campaign": "ant"})
    changed["buyers"][0]["offers"][1]["weight"] = 3
    changed["buyers"][1]["offers"].append({"id": "a-new", "campaign": "ant"})
    await save_marketplace(database, without)
    await save_marketplace(database, changed)
    assert await oldest(1) == ["one-a", "two-a", "two-b"]
    assert await oldest(2) == ["one-a", "two-b", "a-new"]
    assert await oldest(3) == ["one-a", "two-a", "two-b", "a-new"]
    assert await oldest(3, 2) == ["one-a", "two-a"]
    assert await first_come(database, CAMPAIGN, 3, 10) == ["ant", "zebra"]


async def test_a_revision_that_never_was_is_a_lookup_error(database: Database) -> None:
    await save_marketplace(database, MARKETPLACE)
    with pytest.raises(LookupError, match="revision 2"):
        await load(database, 2)


async def test_saving_over_a_change_that_was_not_seen_is_refused(database: Database) -> None:
    await save_marketplace(database, MARKETPLACE)
    await save_marketplace(database, {"currency": "EUR"})
    with pytest.raises(RevisionConflictError) as caught:
        await save(database, split(MARKETPLACE), origin="api", expected_revision=1)
    assert (caught.value.expected, caught.value.actual) == (1, 2)
    assert join((await load(database)).items) == {"currency": "EUR"}


async def test_of_many_changes_at_once_each_gets_a_revision_of_its_own(database: Database) -> None:
    currencies = [f"C{number}" for number in range(12)]
    revisions = await asyncio.gather(
        *(save_marketplace(database, {"currency": currency}) for currency in currencies)
    )
    assert sorted(revisions) == list(range(1, 13))
    for revision, currency in zip(revisions, currencies, strict=True):
        assert join((await load(database, revision)).items) == {"currency": currency}


async def test_of_many_changes_to_the_same_revision_one_wins(database: Database) -> None:
    await save_marketplace(database, MARKETPLACE)
    saves = [
        save(database, split({"currency": f"C{number}"}), origin="api", expected_revision=1)
        for number in range(8)
    ]
    results = await asyncio.gather(*saves, return_exceptions=True)
    assert sorted(str(type(result).__name__) for result in results) == (
        ["RevisionConflictError"] * 7 + ["int"]
    )


async def test_a_follower_is_told_of_a_change_before_it_would_look(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "POLL_S", 600.0)
    async with following(database) as seen:
        await save_marketplace(database, MARKETPLACE)
        await eventually(lambda: seen == [1], within_s=30)
        await save_marketplace(database, {"currency": "EUR"})
        await eventually(lambda: seen == [1, 2], within_s=30)


async def test_a_follower_notices_a_change_that_nobody_announced(database: Database) -> None:
    async with following(database) as seen:
        async with database.transaction() as connection:
            await connection.execute(
                "insert into catalogue_revisions (revision, origin) values (7, 'api')"
            )
        await eventually(lambda: seen == [7], within_s=1.0)


async def test_a_follower_survives_the_loss_of_its_connection(database: Database) -> None:
    async with following(database) as seen:
        for revision in range(1, 4):
            async with database.connection() as connection:
                await connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where pid <> pg_backend_pid() and datname = current_database()"
                )
            await save_marketplace(database, {"currency": f"C{revision}"})
            await eventually(lambda: seen[-1:] == [revision], within_s=1.0)  # noqa: B023 - at once


async def test_a_follower_survives_a_restart_of_the_server(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "data", settings=QUICK)
    dsn = await server.start()
    await migrate(dsn)
    database = await Database.connect(dsn)
    async with following(database) as seen:
        await server.stop()
        await server.start()
        await save_marketplace(database, MARKETPLACE)
        await eventually(lambda: seen == [1], within_s=1.0)
    await database.close()
    await server.stop()


async def test_a_callback_that_fails_is_called_again(database: Database) -> None:
    calls: list[int] = []

    async def fail_twice(revision: int) -> None:
        calls.append(revision)
        if len(calls) < 3:
            message = "not yet"
            raise RuntimeError(message)

    async with following(database, fail_twice):
        await save_marketplace(database, MARKETPLACE)
        await eventually(lambda: calls == [1, 1, 1])


@asynccontextmanager
async def following(
    database: Database, on_revision: Callable[[int], Awaitable[None]] | None = None
) -> AsyncIterator[list[int]]:
    seen: list[int] = []

    async def note(revision: int) -> None:
        seen.append(revision)

    follower = CatalogueFollower(database, on_revision or note)
    follower.start(known=0)
    await eventually(lambda: is_listening(database))
    try:
        yield seen
    finally:
        await follower.stop()


async def is_listening(database: Database) -> bool:
    async with database.connection() as connection:
        return bool(
            await connection.fetchval(
                "select exists (select from pg_stat_activity where datname = current_database()"
                " and pid <> pg_backend_pid() and query like '%catalogue_revisions%')"
            )
        )


async def save_marketplace(database: Database, marketplace: dict[str, Any]) -> int:
    return await save(database, split(marketplace), origin="file")


async def rows_added_in(database: Database, revision: int) -> object:
    async with database.connection() as connection:
        return await connection.fetchval(COUNT_ROWS, revision)


def in_order(value: Any) -> Any:
    """The same data with mappings as lists of pairs, so that their order is compared as well."""
    if isinstance(value, dict):
        return [(key, in_order(item)) for key, item in value.items()]
    return [in_order(item) for item in value] if isinstance(value, list) else value
