"""Applying scheduled changes when their time has come: by whichever process is first, once."""

import asyncio
import logging
from typing import Final

from auction.ports import StorageUnavailableError
from auction.web.management import changing
from auction.web.management.handlers import CurrentBox
from auction.web.management.resources import BY_KIND
from auction.web.management.schedule import FROM_SCHEDULE
from auction.web.problems import CallerMistakeError
from config.json_file import load_json
from storage.audit import Note, add_note
from storage.catalogue import About
from storage.database import Database, as_unavailable
from storage.managing import CatalogueChange, change
from storage.scheduling import ScheduledChange, any_due, settle, take_due

POLL_S: Final = 0.5

logger = logging.getLogger(__name__)


class DueChanges:
    """Looks for changes that are due, twice a second."""

    def __init__(self, database: Database, box: CurrentBox) -> None:
        self._database = database
        self._box = box

    async def run(self) -> None:
        """Apply changes on time, forever."""
        while True:
            try:
                while await any_due(self._database) and await self.apply_next():
                    pass
            except StorageUnavailableError as error:
                logger.info("Scheduled changes wait: %s", error, extra={"action": "schedule"})
            await asyncio.sleep(POLL_S)

    async def apply_next(self) -> bool:
        """Apply the first change that is due, or mark it failed; False when there is none.

        One transaction does all of it: whoever is killed meanwhile has done nothing.
        """
        async with change(self._database) as under_way:
            due = await take_due(under_way.connection)
            if due is None:
                return False
            revision, error = await self._try(under_way, due)
            await settle(under_way.connection, due.id, revision=revision, error=error)
            if error is not None:
                about = (FROM_SCHEDULE, due.actor, due.kind, due.item_id, "failed")
                await add_note(under_way.connection, Note(*about, note=f"{due.id}: {error}"))
        logger.info(
            "Scheduled change %s: %s", due.id, error or "applied", extra={"action": "schedule"}
        )
        return True

    async def _try(
        self, under_way: CatalogueChange, due: ScheduledChange
    ) -> tuple[int | None, str | None]:
        """The revision that it made or the reason why there is none."""
        try:
            async with under_way.connection.transaction():
                return await self._apply(under_way, due), None
        except CallerMistakeError as mistake:
            return None, mistake.detail
        except Exception as error:
            # One that can never be applied must not hold up all that come after it.
            if (away := as_unavailable(error, under_way.connection)) is not None:
                raise away from error
            logger.exception("A scheduled change failed", extra={"action": "schedule"})
            return None, "something went wrong here: the log has more"

    async def _apply(self, under_way: CatalogueChange, due: ScheduledChange) -> int | None:
        resource = BY_KIND[due.kind]
        held = await under_way.item(due.kind, due.item_id)
        patch = load_json(due.patch)
        assert isinstance(patch, dict), "only objects are stored"
        if held is None:
            raise changing.unknown(resource)
        about = About(FROM_SCHEDULE, due.actor, note=f"scheduled change {due.id}")
        after = await changing.put(
            under_way, changing.patched(resource, held, patch), await self._box(), about
        )
        return after.since if after.since > under_way.newest else None
