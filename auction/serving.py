"""A service from its start until a signal ends it."""

import asyncio
import logging
import os
import signal
from contextlib import AbstractAsyncContextManager, suppress

from auction.app import ServiceHandle
from auction.service_manager import State, keep_telling, tell_service_manager, watched_s
from config.settings import unknown_variables

logger = logging.getLogger(__name__)


async def serve(running: AbstractAsyncContextManager[ServiceHandle]) -> None:
    """Run until SIGTERM or SIGINT; one that comes while starting ends the start."""
    for name in unknown_variables(os.environ):
        logger.warning("%s is no setting: misspelt?", name, extra={"action": "settings"})
    ready, stop, restart = asyncio.Event(), asyncio.Event(), asyncio.Event()
    work = asyncio.create_task(_run(running, ready, stop, restart))

    def end() -> None:
        stop.set()
        if not ready.is_set():
            work.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    loop.add_signal_handler(signal.SIGHUP, restart.set)
    with suppress(asyncio.CancelledError):
        await work
    logger.info("Stopped", extra={"action": "stopped"})


async def _run(
    running: AbstractAsyncContextManager[ServiceHandle],
    ready: asyncio.Event,
    stop: asyncio.Event,
    restart: asyncio.Event,
) -> None:
    async with running as handle:
        ready.set()
        logger.info(
            "Ready on %s, ops on %s", handle.base_url, handle.ops_url, extra={"action": "ready"}
        )
        tell_service_manager(State.READY)
        telling = keep_telling(watched_s(os.environ, os.getpid()))
        beside = [
            asyncio.create_task(each) for each in (_restart_when_told(handle, restart), telling)
        ]
        await stop.wait()
        logger.info("Stopping", extra={"action": "stopping"})
        tell_service_manager(State.STOPPING)
        for each in beside:
            each.cancel()


async def _restart_when_told(handle: ServiceHandle, restart: asyncio.Event) -> None:
    while True:
        await restart.wait()
        restart.clear()
        handle.restart()
