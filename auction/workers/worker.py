"""A worker's own end: it takes calls until it is told to go, or until its parent is gone."""

import asyncio
import logging
import math
import os
import signal
import socket
from collections.abc import Coroutine

from auction import logs
from auction.app import Service
from auction.workers.assignment import LEAVE, MOST_BYTES, READY, decode
from auction.workers.board import Place
from auction.workers.hangs import BEAT_S
from metrics.page import SharedCells
from metrics.registry import Metrics, layout

ORPHAN_S = 5
"""How much longer than ``drain_s`` a worker without a parent may take to end."""

logger = logging.getLogger(__name__)


async def work(control: int) -> None:
    """Do what is assigned over a socket, until SIGTERM, the order to leave, or its closing."""
    link = socket.socket(fileno=control)
    reader, writer = await asyncio.open_connection(sock=link, limit=MOST_BYTES)
    line = await reader.readline()
    if not line:
        # The parent was gone before it had said anything.
        return
    assignment = decode(line)
    settings = assignment.settings
    logs.configure(settings.log_level, settings.log_format, worker=assignment.number)
    orders = _Orders(reader, settings.drain_s)
    store = SharedCells(assignment.page, layout())
    metrics = Metrics(label_limit=settings.metrics_labels, store=store)
    place = Place(assignment.board, assignment.place)
    for inherited in (assignment.page, assignment.board):
        os.close(inherited)
    beating = asyncio.create_task(_beat(place))
    service = Service(settings, assignment.dsn, metrics)
    listeners = [socket.socket(fileno=each) for each in assignment.listeners]
    if await orders.unless_stopped(service.start_worker(listeners, place)):
        writer.write(READY)
        await orders.unless_stopped(_until_left(orders, service))
        await service.stop()
    beating.cancel()


async def _beat(place: Place) -> None:
    while True:
        place.beat()
        await asyncio.sleep(BEAT_S)


async def _until_left(orders: "_Orders", service: Service) -> None:
    await orders.leave.wait()
    logger.info("Leaving", extra={"action": "worker_leaving"})
    await service.leave()


class _Orders:
    """What the parent and the operator want of this process."""

    def __init__(self, reader: asyncio.StreamReader, drain_s: float) -> None:
        self.leave = asyncio.Event()
        self._stop = asyncio.Event()
        self._stopped = asyncio.create_task(self._stop.wait())
        self._listening = asyncio.create_task(self._listen(reader, drain_s))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        # For the parent, which tells its workers one after the other.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    async def unless_stopped(self, work: Coroutine[object, object, None]) -> bool:
        """Whether the work was done; it is cancelled when everything is to end."""
        task = asyncio.create_task(work)
        await asyncio.wait({task, self._stopped}, return_when=asyncio.FIRST_COMPLETED)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return False
        return True

    async def _listen(self, reader: asyncio.StreamReader, drain_s: float) -> None:
        while line := await reader.readline():
            if line == LEAVE:
                self.leave.set()
        # Nobody would end this process any more if it hung: the kernel does.
        signal.alarm(math.ceil(drain_s) + ORPHAN_S)
        self._stop.set()
