"""Who waits for others waits without a connection: calls find theirs."""

import asyncio

import pytest

from auction.ports import StorageUnavailableError
from storage import database as module
from storage.database import Database
from storage.managing import change, read_item
from tests.eventually import eventually

MANY = 12
WAITING_FOR_A_LOCK = """
    select count(*) from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'
"""


async def one(database: Database) -> int:
    async with database.connection() as connection:
        found: int = await connection.fetchval("select 1")
    return found


async def test_changes_that_wait_for_one_another_leave_connections_to_calls(
    dsn: str, database: Database
) -> None:
    ours = await Database.connect(dsn, max_size=2, acquire_timeout_s=0.2)

    async def changed() -> None:
        async with change(ours):
            pass

    async def one_waits() -> bool:
        async with database.connection() as connection:
            return bool(await connection.fetchval(WAITING_FOR_A_LOCK))

    async with change(database):
        waiting = [asyncio.create_task(changed()) for _ in range(MANY)]
        await eventually(one_waits)
        assert [await one(ours) for _ in range(3)] == [1, 1, 1]
        assert not any(each.done() for each in waiting)
    await asyncio.gather(*waiting)
    await ours.close()


async def test_reading_the_marketplace_leaves_connections_to_calls(dsn: str) -> None:
    database = await Database.connect(dsn, max_size=3, acquire_timeout_s=0.2)
    async with database.unhurried():
        reading = [
            asyncio.create_task(read_item(database, "offer", f"o{number}"))
            for number in range(MANY)
        ]
        async with database.connection():
            assert await one(database) == 1
        assert not any(each.done() for each in reading)
    assert await asyncio.gather(*reading) == [None] * MANY
    await database.close()


async def test_a_turn_that_does_not_come_is_unavailable_and_nobody_elses_is_lost(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.01)
    database = await Database.connect(dsn, max_size=2)
    async with database.alone():
        with pytest.raises(StorageUnavailableError, match="too many are changing"):
            await database.alone().__aenter__()
    async with database.alone() as connection:
        assert await connection.fetchval("select 1") == 1
    await database.close()
