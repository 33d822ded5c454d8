"""Whether what was answered outlives the server that it was stored on."""

from storage.database import Database
from storage.queries import query

_WAIT_FOR = query("commits_wait_for")


async def doubt_of_commits(database: Database) -> str | None:
    """How an answer that was given could be lost, in words; None when it can't.

    Raises StorageUnavailableError.
    """
    async with database.connection() as connection:
        row = await connection.fetchrow(_WAIT_FOR)
    level, standbys = (row["level"], row["standbys"]) if row is not None else (None, None)
    if level == "off":
        return "synchronous_commit is off: a crash of PostgreSQL loses calls that were answered"
    if not database.has_several_servers:
        return None
    if level == "local":
        return "synchronous_commit is local: a failover loses calls that were answered"
    if standbys == "":
        return "synchronous_standby_names is empty: a failover loses calls that were answered"
    return None
