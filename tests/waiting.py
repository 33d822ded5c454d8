"""Transactions that wait for each other, for tests."""

from storage.database import Database


async def someone_waits(database: Database) -> bool:
    """Whether a transaction in this database waits for a lock."""
    async with database.connection() as connection:
        waiting: int = await connection.fetchval(
            "select count(*) from pg_stat_activity "
            "where datname = current_database() and wait_event_type = 'Lock'"
        )
    return waiting > 0
