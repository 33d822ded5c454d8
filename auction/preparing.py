"""What is done once before calls are decided, however many processes decide them."""

import logging
import os
from pathlib import Path

from auction.marketplaces import load_at_start
from auction.ports import StorageUnavailableError
from auction.stores import secret_box
from config.settings import Settings
from storage.confirming import doubt_of_commits
from storage.database import Database
from storage.partitions import add_partitions

logger = logging.getLogger(__name__)


async def prepare(database: Database, settings: Settings, marketplace: Path | None) -> None:
    """See to the keys, the partitions and, where one is given, the file."""
    box = await secret_box(database, settings)
    await _make_partitions(database)
    doubt = await doubt_of_commits(database)
    if doubt is not None:
        logger.warning(doubt, extra={"action": "unconfirmed_commits"})
    if marketplace is None:
        return
    applied = await load_at_start(
        database, box, marketplace, os.environ, voice_bots=settings.voice_bots
    )
    for warning in applied.check.warnings:
        logger.warning("%s: %s", marketplace, warning, extra={"action": "check"})


async def _make_partitions(database: Database) -> None:
    try:
        await add_partitions(database)
    except StorageUnavailableError as error:
        # Others may be selling; rows go to the default partition until it is tried again.
        logger.warning("No partitions made: %s", error, extra={"action": "add_partitions"})
