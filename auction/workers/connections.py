"""How many database connections a parent and its workers take."""

import logging
from collections.abc import Mapping
from typing import Final

from config.poolers import Pooler
from config.settings import Settings
from storage.connections import connection_limit
from storage.database import Database
from storage.postmaster import SETTINGS

OWN: Final = 2
"""Of the parent: for the ops port, one query at a time and one more."""

LISTENING: Final = 2
"""Beside each pool: one follows the marketplace, one the tokens."""

OTHERS: Final = 20
"""Commands, and people who look at the database."""

logger = logging.getLogger(__name__)


def most_connections(settings: Settings) -> int:
    """What the service takes at most: each worker twice, while all are renewed."""
    listening = 0 if settings.database_pooler is Pooler.TRANSACTION else LISTENING
    return 2 * settings.workers * (settings.database_connections + listening) + OWN + listening


def server_settings(settings: Settings) -> Mapping[str, str]:
    """Settings of an embedded server that has room for all."""
    usual = int(SETTINGS["max_connections"])
    return {"max_connections": str(max(usual, most_connections(settings) + OTHERS))}


async def check_room(database: Database, settings: Settings) -> None:
    """Say so when the server may not have a connection for every worker.

    A pooler has a limit of its own, which is not known here.
    """
    if settings.database_pooler is not Pooler.NONE:
        return
    limit, wanted = await connection_limit(database), most_connections(settings)
    if wanted > limit:
        logger.warning(
            "PostgreSQL gives %d connections, %d workers take up to %d: raise max_connections, or"
            " lower PINGPOST_DATABASE_CONNECTIONS",
            *(limit, settings.workers, wanted),
            extra={"action": "connections"},
        )
