"""Two processes of one marketplace follow a revision that is announced ahead."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from auction.announced import due_at
from auction.marketplaces import Marketplaces
from buyers.notices import NoticeBoard
from config.secret_box import SecretBox
from storage.announcing import Pace, due
from storage.catalogue import save
from storage.catalogue_items import split
from storage.database import Database
from storage.follower import CatalogueFollower
from tests.eventually import eventually
from tests.golden.runner import ScriptedTransport
from tests.ledger_steps import VAULT
from tests.unit.test_workbench import ACME, a_market

BOX = SecretBox(bytes(range(32)))
LONG, SHORT = Pace(0, base_s=50, per_offer_s=0), Pace(0, base_s=3, per_offer_s=0)


def a_process(database: Database) -> Marketplaces:
    transport = ScriptedTransport({})
    board = NoticeBoard(transport)
    return Marketplaces(database, BOX, transport, board, {}, VAULT, lambda _: None)


@asynccontextmanager
async def following(database: Database, marketplaces: Marketplaces) -> AsyncIterator[None]:
    async def take_up(revision: int) -> None:
        await marketplaces.take_up(revision, await due_at(database, revision))

    follower = CatalogueFollower(database, take_up)
    follower.start(marketplaces.revision)
    try:
        yield
    finally:
        await follower.stop()
        await marketplaces.close()


async def saved(database: Database, pace: Pace, **changes: Any) -> int:
    return await save(database, split(a_market(**changes)), origin="file", pace=pace)


async def now(database: Database) -> datetime:
    async with database.connection() as connection:
        at: datetime = await connection.fetchval("select clock_timestamp()")
    return at


async def test_all_make_it_ready_and_put_it_in_force_when_its_time_has_come(
    database: Database,
) -> None:
    processes = [a_process(database) for _ in range(2)]
    async with following(database, processes[0]), following(database, processes[1]):
        await saved(database, Pace())
        await eventually(lambda: [each.revision for each in processes] == [1, 1])
        old = processes[0].current()
        await saved(database, SHORT, offer={"weight": 2})
        announced = await due(database, 2)
        assert announced is not None
        await eventually(lambda: any(each.revision == 2 for each in processes), within_s=30)
        assert await now(database) >= announced.at
        await eventually(lambda: all(each.revision == 2 for each in processes), within_s=30)
    assert old.catalogue.offers[ACME].weight == 1, "a call in flight keeps what it began with"
    assert processes[0].current().catalogue.offers[ACME].weight == 2


async def test_what_comes_while_one_waits_is_made_ready_upon_it_and_waits_with_it(
    database: Database,
) -> None:
    process = a_process(database)
    await saved(database, Pace())
    await process.take_up(1)
    async with following(database, process):
        await saved(database, LONG, offer={"weight": 2})
        await eventually(lambda: process.waiting == (2,))
        await saved(database, Pace(), offer={"weight": 2, "priority": 7})
        await eventually(lambda: process.waiting == (3,))
        assert process.revision == 1
        assert process.current().catalogue.offers[ACME].weight == 1


async def test_a_process_that_starts_takes_the_newest_revision_at_once(database: Database) -> None:
    await saved(database, LONG)
    process = a_process(database)
    await process.take_up(1)
    assert (process.revision, process.waiting) == (1, ())


async def test_a_database_that_is_restored_takes_the_announcement_with_it(
    database: Database,
) -> None:
    process = a_process(database)
    await saved(database, Pace())
    async with following(database, process):
        await eventually(lambda: process.revision == 1)
        await saved(database, LONG, offer={"weight": 2})
        await eventually(lambda: process.waiting == (2,))
        async with database.transaction() as connection:
            await connection.execute("delete from catalogue_items where first_revision = 2")
            await connection.execute("update catalogue_items set last_revision = null")
            await connection.execute("delete from catalogue_revisions where revision = 2")
        await eventually(lambda: process.waiting == ())
        assert process.revision == 1
        await saved(database, Pace(), offer={"weight": 5})
        await eventually(lambda: process.revision == 2)
    assert process.current().catalogue.offers[ACME].weight == 5


async def test_one_that_can_not_be_made_ready_is_overtaken_by_the_next(database: Database) -> None:
    process = a_process(database)
    await saved(database, Pace())
    await process.take_up(1)
    async with following(database, process):
        await saved(database, LONG, offer={"campaign": "gone"})
        await asyncio.sleep(0)
        await saved(database, LONG, offer={"weight": 9})
        await eventually(lambda: process.waiting == (3,), within_s=20)
    assert process.revision == 1


async def test_one_whose_making_took_too_long_is_in_force_as_soon_as_it_is_ready(
    database: Database, caplog: Any
) -> None:
    process = a_process(database)
    await saved(database, Pace())
    await process.take_up(1)
    await saved(database, LONG, offer={"weight": 2})
    loop = asyncio.get_running_loop()
    await process.take_up(2, loop.time())
    assert process.revision == 2
    assert [getattr(each, "action", None) for each in caplog.records].count("catalogue_late") == 1
