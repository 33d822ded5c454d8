"""Keeps a number of workers running: replaces those that die, renews all of them, ends them."""

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine
from typing import Final, Generic, Protocol, TypeVar

READY_WITHIN_S: Final = 60.0

FIRST_PAUSE_S: Final = 0.1
"""Before one that has died is replaced; doubled each time that the next does not last."""

LONGEST_PAUSE_S: Final = 10.0

STEADY_S: Final = 60.0
"""One that has lived longer did last."""

logger = logging.getLogger(__name__)


class Worker(Protocol):
    """What a crew needs of a worker's process; ``WorkerProcess`` is one."""

    @property
    def number(self) -> int:
        """Its place in the crew, from 1."""

    @property
    def pid(self) -> int:
        """Its process id."""

    @property
    def is_ready(self) -> bool:
        """Whether it takes calls."""

    async def ready(self, within_s: float) -> bool:
        """Whether it takes calls within so many seconds; False also when it has ended."""

    async def ended(self) -> int:
        """Wait for its end; the exit code, negative when a signal ended it."""

    def leave(self) -> None:
        """Tell it to take no new connection and to end once nobody needs it."""

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; one that has ended gets none."""


class WorkerFailedError(ChildProcessError):
    """A worker did not become ready when the service started; the log has its last words."""


_W = TypeVar("_W", bound=Worker)


class Crew(Generic[_W]):
    """``start_worker`` starts the one of a number; ``on_end`` is told each that has ended."""

    def __init__(
        self,
        count: int,
        start_worker: Callable[[int], _W],
        on_end: Callable[[_W], None] = lambda _: None,
    ) -> None:
        self._numbers = range(1, count + 1)
        self._start_worker = start_worker
        self._on_end = on_end
        self._lives: dict[_W, asyncio.Task[None]] = {}
        self._current: dict[int, _W] = {}
        self._places = {number: asyncio.Lock() for number in self._numbers}
        self._pauses = dict.fromkeys(self._numbers, FIRST_PAUSE_S)
        self._tasks: set[asyncio.Task[None]] = set()
        self._renewing: asyncio.Task[None] | None = None
        self.replaced = 0

    @property
    def alive(self) -> int:
        """How many take calls, without those that are leaving."""
        return sum(worker.is_ready for worker in self._current.values())

    def living(self) -> list[_W]:
        """All that live, those that are leaving included."""
        return list(self._lives)

    async def start(self) -> None:
        """Start all; returns when all are ready. Raises WorkerFailedError when one is not."""
        began = await asyncio.gather(*(self._begin(number) for number in self._numbers))
        for number, ready in zip(self._numbers, began, strict=True):
            if not ready:
                message = f"worker {number} did not get ready: the log has its last words"
                raise WorkerFailedError(message)

    def renew(self) -> None:
        """Put new processes in the place of all, one by one and never with fewer of them."""
        if self._renewing is not None and not self._renewing.done():
            logger.warning("A restart is under way already", extra={"action": "restart"})
            return
        self._renewing = self._keep(self._renew())

    async def stop(self, within_s: float) -> None:
        """End all: in good order within so many seconds, then by force."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._current.clear()
        for worker in self._lives:
            worker.send(signal.SIGTERM)
        if not self._lives:
            return
        _, late = await asyncio.wait(self._lives.values(), timeout=within_s)
        for worker in self._lives:
            logger.error("Worker %d is killed", worker.number, extra={"action": "worker_killed"})
            worker.send(signal.SIGKILL)
        if late:
            await asyncio.wait(late)

    async def _begin(self, number: int) -> bool:
        """Whether a new worker is ready in this place."""
        try:
            worker = self._start_worker(number)
        except OSError as error:
            text = "Worker %d can't be started: %s"
            logger.error(text, number, error, extra={"action": "worker_failed"})
            return False
        self._lives[worker] = asyncio.create_task(self._watch(worker))
        if await worker.ready(READY_WITHIN_S):
            self._current[number] = worker
            return True
        worker.send(signal.SIGKILL)
        return False

    async def _watch(self, worker: _W) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        code = await worker.ended()
        del self._lives[worker]
        self._on_end(worker)
        if self._current.get(worker.number) is not worker:
            return
        told = {"action": "worker_died", "exit_code": code, "process_id": worker.pid}
        logger.error("Worker %d has died and is replaced", worker.number, extra=told)
        if loop.time() - began > STEADY_S:
            self._pauses[worker.number] = FIRST_PAUSE_S
        self._keep(self._replace(worker))

    async def _replace(self, dead: _W) -> None:
        number = dead.number
        while True:
            pause_s = self._pauses[number]
            self._pauses[number] = min(2 * pause_s, LONGEST_PAUSE_S)
            await asyncio.sleep(pause_s)
            async with self._places[number]:
                if self._current[number] is not dead:
                    return
                if await self._begin(number):
                    self.replaced += 1
                    logger.info(
                        "Worker %d is ready again", number, extra={"action": "worker_replaced"}
                    )
                    return

    async def _renew(self) -> None:
        old = []
        for number in self._numbers:
            async with self._places[number]:
                before = self._current[number]
                if not await self._begin(number):
                    logger.error(
                        "The restart ends at worker %d: the old ones go on",
                        number,
                        extra={"action": "restart_failed"},
                    )
                    break
                before.leave()
                old.append(before)
        else:
            logger.info("All workers were restarted", extra={"action": "restarted"})
        for worker in old:
            await worker.ended()

    def _keep(self, work: Coroutine[object, object, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
