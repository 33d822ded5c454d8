"""Indexing campaigns anew, beside the calls, of which much has changed since it was done last."""

import asyncio
import logging
from typing import Final, Protocol

from auction.ports import Snapshot
from auction.workbench import unwatched

logger = logging.getLogger(__name__)

LOOKS_EVERY_S: Final = 5.0


class Holder(Protocol):
    """Holds the snapshot in force."""

    def in_force(self) -> Snapshot | None:
        """The snapshot in force, None before the first."""

    def exchange(self, old: Snapshot, new: Snapshot) -> bool:
        """Put another of the same revision in its place; False where ``old`` is none any more."""


class IndexUpkeep:
    """Keeps what changes have left on top of the indexes from growing."""

    def __init__(self, holder: Holder) -> None:
        self._holder = holder

    async def run(self) -> None:
        """Look every few seconds, forever."""
        while True:
            await asyncio.sleep(LOOKS_EVERY_S)
            await self.tidy()

    async def tidy(self) -> None:
        """Index anew what is worn; revisions that come meanwhile are built upon what is made."""
        snapshot = self._holder.in_force()
        if snapshot is None or not any(each.worn for each in snapshot.indexes.values()):
            return
        known = await asyncio.to_thread(_renewed, snapshot)
        while not self._holder.exchange(snapshot, known):
            newer = self._holder.in_force()
            if newer is None:
                return
            snapshot, known = newer, await asyncio.to_thread(_upon, newer, known)
        logger.info("Campaigns were indexed anew", extra={"action": "indexed_anew"})


def _renewed(snapshot: Snapshot) -> Snapshot:
    with unwatched():
        indexes = {
            key: each.anew() if each.worn else each for key, each in snapshot.indexes.items()
        }
        return snapshot.indexed(indexes)


def _upon(snapshot: Snapshot, known: Snapshot) -> Snapshot:
    with unwatched():
        return snapshot.indexed(known.indexes)
