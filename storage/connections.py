"""How many connections a server has for us."""

from storage.database import Database
from storage.queries import query

_LIMIT = query("connection_limit")


async def connection_limit(database: Database) -> int:
    """How many connections an ordinary user may open in all. Raises StorageUnavailableError."""
    async with database.connection() as connection:
        limit: int = await connection.fetchval(_LIMIT)
    return limit
