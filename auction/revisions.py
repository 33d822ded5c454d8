"""Reading revisions of the marketplace one after the other: of most of them only what is new."""

import asyncio
from collections.abc import Sequence

from auction.workbench import ReadyRevision, Update, Workbench, unwatched
from storage import catalogue
from storage.catalogue import ChangedItems, Known, StoredItem
from storage.database import Database


class Revisions:
    """Makes stored revisions ready; each is built upon the one before where that can be."""

    def __init__(self, database: Database, workbench: Workbench) -> None:
        self._database = database
        self._workbench = workbench
        self._known: Known | None = None

    async def ready(self, revision: int) -> ReadyRevision:
        """The revision, made ready in a thread. Raises ConfigError, LookupError."""
        changed, self._known = await self._changed(revision), None
        if changed is not None:
            ready = await self._build_upon(changed)
            self._known = changed.known
            return ready
        known = await catalogue.known(self._database, revision)
        items = await load_all(self._database, revision)
        ready = await asyncio.to_thread(self._make, items, revision)
        self._known = known
        return ready

    async def _changed(self, revision: int) -> ChangedItems | None:
        if self._known is None:
            return None
        unusable = self._workbench.unusable
        return await catalogue.load_changes(self._database, revision, self._known, unusable)

    async def _build_upon(self, changed: ChangedItems) -> ReadyRevision:
        revision = changed.known.revision
        update = await asyncio.to_thread(self._begin, changed)
        stale = await catalogue.load_offers(self._database, revision, update.stale)
        return await asyncio.to_thread(self._finish, update, stale, revision)

    def _begin(self, changed: ChangedItems) -> Update:
        with unwatched():
            return self._workbench.begin(changed.items, changed.closed)

    def _finish(self, update: Update, stale: Sequence[StoredItem], revision: int) -> ReadyRevision:
        with unwatched():
            return self._workbench.finish(update, stale, revision)

    def _make(self, items: Sequence[StoredItem], revision: int) -> ReadyRevision:
        with unwatched():
            return self._workbench.make(items, revision)


async def load_all(database: Database, revision: int) -> Sequence[StoredItem]:
    """All of a revision; 0 is the empty one. Raises LookupError for one that is not there."""
    return () if revision == 0 else await catalogue.load_unread(database, revision)
