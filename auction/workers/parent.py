"""The process that starts workers and keeps what they share: sockets, PostgreSQL, the ops port."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from socket import socket
from typing import Final

from auction.announced import Announced, due_at
from auction.app import ServiceHandle, plain_token
from auction.background import Background
from auction.domain.terms import Catalogue
from auction.listening import listen
from auction.oversight import ops_services, tell_first_come
from auction.preparing import prepare
from auction.revisions import Revisions
from auction.stores import running_database
from auction.web.drain import Drain
from auction.web.ops import build_ops
from auction.web.services import OpsServices
from auction.workbench import Workbench
from auction.workers.assignment import Assignment
from auction.workers.board import Board
from auction.workers.connections import OWN, check_room, server_settings
from auction.workers.crew import Crew
from auction.workers.figures import ProcessFigures
from auction.workers.hangs import HangWatch
from auction.workers.process import WorkerProcess
from auction.workers.sockets import bound, url_of
from config.settings import Settings
from metrics.cells import PrivateCells
from metrics.page import PageReader, make_page
from metrics.registry import Metrics, layout
from metrics.totals import Totals
from storage import catalogue
from storage.database import Database
from storage.follower import CatalogueFollower

ENDING_S: Final = 2.0
"""How much longer than ``drain_s`` workers may take to end before they are killed."""

PLACES_EACH: Final = 4
"""Of a worker: its own, that of its successor, and more than those that fail to start take."""

logger = logging.getLogger(__name__)


@asynccontextmanager
async def running_crew(
    settings: Settings, marketplace: Path | None
) -> AsyncIterator[ServiceHandle]:
    """A service of ``settings.workers`` processes that decide calls, and this one, which does not.

    Raises WorkerFailedError when one of them does not get ready.
    """
    with bound(settings.host, settings.port) as listeners:
        async with running_database(settings, server_settings(settings)) as dsn:
            parent = Parent(settings, dsn, listeners)
            try:
                yield await parent.start(marketplace)
            finally:
                await parent.stop()


class Parent:
    """Decides no calls; what it shows of them its workers have counted."""

    def __init__(self, settings: Settings, dsn: str, listeners: Sequence[socket]) -> None:
        self._settings = settings
        self._dsn = dsn
        self._listeners = listeners
        self._stack = AsyncExitStack()
        self._drain = Drain()
        self._crew = Crew(settings.workers, self._start_worker, self._worker_ended)
        self._board = Board(PLACES_EACH * settings.workers)
        self._stack.callback(self._board.close)
        self._processes = ProcessFigures(self._crew.living)
        self._layout = layout()
        cells = PrivateCells()
        self._totals = Totals(cells)
        self._metrics = Metrics(
            label_limit=settings.metrics_labels, store=cells, processes=self._processes
        )
        self._terms: Catalogue | None = None

    async def start(self, marketplace: Path | None) -> ServiceHandle:
        """Prepare what workers share and start them; all are ready when this returns."""
        settings, stack = self._settings, self._stack
        database = await Database.connect(self._dsn, pooler=settings.database_pooler, max_size=OWN)
        stack.push_async_callback(database.close)
        await check_room(database, settings)
        await prepare(database, settings, marketplace)
        await self._follow(database)
        services = self._services(database)
        ops, ops_url = await listen(build_ops(services), settings.host, settings.ops_port)
        stack.push_async_callback(ops.cleanup)
        await self._crew.start()
        if settings.worker_hang_s:
            self._watch(settings.worker_hang_s)
        return ServiceHandle(
            url_of(self._listeners[0]), ops_url, plain_token(settings), self._crew.renew
        )

    async def stop(self) -> None:
        """End the workers as one process ends itself; the ops port goes last."""
        self._drain.begin()
        if self._crew.alive:
            await asyncio.sleep(self._settings.drain_notice_s)
        for listener in self._listeners:
            listener.close()
        try:
            await self._crew.stop(self._settings.drain_s + ENDING_S)
        finally:
            await self._stack.aclose()

    def _watch(self, after_s: float) -> None:
        background = Background()
        self._stack.push_async_callback(background.stop)
        watch = HangWatch(self._crew.living, self._board.beats, after_s)
        background.keep_running("watch over workers", watch.run)

    async def _follow(self, database: Database) -> None:
        revisions = Revisions(database, Workbench())
        announced = Announced[Catalogue](self._enter)
        self._stack.push_async_callback(announced.close)

        async def take_up(revision: int, due: float | None = None) -> None:
            ready = await revisions.ready(revision)
            await tell_first_come(database, self._metrics, revision)
            await announced.put(revision, ready.catalogue, due)

        async def follow(revision: int) -> None:
            await take_up(revision, await due_at(database, revision))

        newest = await catalogue.latest(database)
        known = 0 if newest is None else newest.revision
        await take_up(known)
        follower = CatalogueFollower(database, follow)
        follower.start(known)
        self._stack.push_async_callback(follower.stop)

    async def _enter(self, terms: Catalogue) -> None:
        await asyncio.to_thread(self._metrics.preload, terms)
        self._terms = terms

    def _services(self, database: Database) -> OpsServices:
        async def any_worker_is_ready() -> str | None:
            return None if self._crew.alive else "none is ready"

        async def exposition() -> bytes:
            self._metrics.workers(self._crew.alive, self._crew.replaced)
            await self._totals.gather()
            return await self._metrics.exposition()

        services = ops_services(database, lambda: self._terms, self._metrics, self._drain)
        checks = {**services.checks, "workers": any_worker_is_ready}
        return replace(services, checks=checks, exposition=exposition)

    def _start_worker(self, number: int) -> WorkerProcess:
        page, place = make_page(), self._board.give()
        try:
            reader = PageReader(page, self._layout)
            worker = WorkerProcess(
                Assignment(
                    number=number,
                    dsn=self._dsn,
                    settings=self._settings,
                    listeners=tuple(listener.fileno() for listener in self._listeners),
                    page=page,
                    board=self._board.fd,
                    place=place,
                )
            )
        except BaseException:
            self._board.clear(place)
            raise
        finally:
            os.close(page)
        self._totals.join(worker.pid, reader)
        return worker

    def _worker_ended(self, worker: WorkerProcess) -> None:
        self._board.clear(worker.place)
        self._totals.depart(worker.pid)
        self._processes.ended(worker)
