"""Following a revision number in the database: told by NOTIFY, with a poll as the safety net.

Where a pooler lends connections by the transaction nobody can be told, and the poll is all.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from auction.ports import StorageUnavailableError
from config.poolers import Pooler
from storage.database import Database, translated
from storage.queries import query

POLL_S = 0.5
RETRY_S = 0.2
_TIMEOUT_S = 2.0

OnRevision = Callable[[int], Awaitable[None]]

_log = logging.getLogger(__name__)


class RevisionFollower:
    """Calls back with each new revision within a second of its commit, across restarts.

    Of revisions that follow each other quickly only the newest is told. A callback that fails is
    called again until it does not.
    """

    def __init__(
        self, database: Database, channel: str, revision_query: str, on_revision: OnRevision
    ) -> None:
        self._database = database
        self._channel = channel
        self._query = revision_query
        self._on_revision = on_revision
        self._known: int | None = None
        self._failed: int | None = None
        self._away = False
        self._task: asyncio.Task[None] | None = None

    def start(self, known: int) -> None:
        """Follow from here on; ``known`` is the revision that the caller has."""
        self._known = known
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Stop following; does nothing when it is not following."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _follow(self) -> None:
        while True:
            try:
                await (self._poll() if self._is_pooled else self._listen())
            except Exception as error:  # noqa: BLE001 - one that died would leave old terms in force
                self._tell(error)
                self._away = True
                await asyncio.sleep(RETRY_S)

    def _tell(self, error: Exception) -> None:
        """Log why nothing can be followed, once until it can again."""
        if self._away:
            return
        expected = isinstance(error, StorageUnavailableError)
        _log.warning(
            "%s can't be followed: %s",
            self._channel,
            error if expected else type(error).__name__,
            exc_info=None if expected else error,
            extra={"action": "follow_lost"},
        )

    async def _listen(self) -> None:
        connection = await self._database.open_connection(timeout_s=_TIMEOUT_S)
        woken = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _: woken.set())
            with translated():
                await connection.add_listener(self._channel, lambda *_: woken.set())
            while not self._database.is_behind(connection):
                woken.clear()
                with translated():
                    revision = await connection.fetchval(self._query)
                self._away = False
                await self._deliver(revision)
                await _at_most(POLL_S, woken)
        finally:
            connection.terminate()

    @property
    def _is_pooled(self) -> bool:
        return self._database.pooler is Pooler.TRANSACTION

    async def _poll(self) -> None:
        while True:
            async with self._database.connection() as connection:
                revision = await connection.fetchval(self._query)
            self._away = False
            await self._deliver(revision)
            await asyncio.sleep(POLL_S)

    async def _deliver(self, revision: int) -> None:
        # Not "newer than": a database that was restored counts from further back.
        if revision == self._known:
            return
        try:
            await self._on_revision(revision)
        except Exception:  # noqa: BLE001 - a follower that died would leave old terms in force
            if revision != self._failed:
                _log.exception(
                    "revision %d of %s can't be taken up",
                    revision,
                    self._channel,
                    extra={"action": "follow_failed"},
                )
            self._failed = revision
        else:
            self._known = revision


class CatalogueFollower(RevisionFollower):
    """Follows the marketplace."""

    def __init__(self, database: Database, on_revision: OnRevision) -> None:
        super().__init__(
            database, "pingpost_catalogue", query("catalogue_newest_number"), on_revision
        )


async def _at_most(seconds: float, event: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
