"""Group commit: items that come while a batch is in flight form the next one."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from auction.ports import StorageUnavailableError

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How items form batches.

    A batch has at most ``max_size`` items, ``max_queue`` may wait. Batches run one after the other,
    since larger ones cost less an item; but one that waits for a lock must not hold up all others,
    so that up to ``lanes`` run at once when those before take longer than ``stalled_s``. After a
    batch of ``busy`` items or more the next one gathers for ``gather_s`` an item of it, at most for
    ``most_gather_s``. All in seconds, 0 for at once.
    """

    max_size: int = 200
    max_queue: int = 10_000
    lanes: int = 1
    stalled_s: float = 0.0
    busy: int = 4
    gather_s: float = 0.0
    most_gather_s: float = 0.0


GROUP_COMMIT: Final = BatchLimits(lanes=2, stalled_s=0.02, gather_s=0.0005, most_gather_s=0.005)
"""For steps that calls wait for: under load the statements cost more than what is in them."""


class Batcher(Generic[Item, Result]):
    """Hands items to ``run`` in batches.

    ``run`` gives one result per item, an exception for an item that failed alone. When it raises
    StorageUnavailableError all its items fail; after any other error the batch is halved and run
    again, so that an item that can't be stored fails by itself. ``observe`` is told each size, and
    the seconds it took.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]],
        limits: BatchLimits = BatchLimits(),
        *,
        observe: Callable[[int, float], None] | None = None,
    ) -> None:
        self._run = run
        self._limits = limits
        self._observe = observe
        self._queue: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = 0
        self._stalled = 0
        self._waking = False

    @property
    def waiting(self) -> int:
        """How many items no batch has taken yet."""
        return len(self._queue)

    def submit(self, item: Item) -> "asyncio.Future[Result]":
        """The item's result to come. Raises StorageUnavailableError when too many are waiting."""
        if len(self._queue) >= self._limits.max_queue:
            raise StorageUnavailableError("too much is waiting for the database")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._queue.append((item, future))
        self._open_lane()
        return future

    def _open_lane(self) -> None:
        """Begin another lane when nothing that is under way will soon take what waits."""
        if self._waking or self._running > self._stalled or self._running >= self._limits.lanes:
            return
        self._waking = True
        self._running += 1
        lane = asyncio.create_task(self._lane())
        self._tasks.add(lane)
        lane.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait until everything submitted has its result."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _lane(self) -> None:
        self._waking = False
        try:
            while batch := self._take():
                try:
                    await self._watched(batch)
                finally:
                    # Undone only when the lane itself was cancelled: nobody else would answer.
                    for _, future in batch:
                        future.cancel()
                if self._limits.gather_s and len(batch) >= self._limits.busy:
                    gather_s = len(batch) * self._limits.gather_s
                    await asyncio.sleep(min(gather_s, self._limits.most_gather_s))
        finally:
            self._running -= 1

    async def _watched(self, batch: Sequence[tuple[Item, "asyncio.Future[Result]"]]) -> None:
        stalled = False

        def stall() -> None:
            nonlocal stalled
            stalled = True
            self._stalled += 1
            if self._queue:
                self._open_lane()

        timer = asyncio.get_running_loop().call_later(self._limits.stalled_s, stall)
        try:
            await self._settle(batch)
        finally:
            timer.cancel()
            self._stalled -= stalled

    def _take(self) -> list[tuple[Item, "asyncio.Future[Result]"]]:
        batch: list[tuple[Item, asyncio.Future[Result]]] = []
        while self._queue and len(batch) < self._limits.max_size:
            entry = self._queue.popleft()
            if not entry[1].done():
                batch.append(entry)
        return batch

    async def _settle(self, batch: Sequence[tuple[Item, "asyncio.Future[Result]"]]) -> None:
        try:
            results = await self._observed([item for item, _ in batch])
        except StorageUnavailableError as error:
            for _, future in batch:
                _fail(future, StorageUnavailableError(*error.args))
        except Exception as error:  # noqa: BLE001 - whatever one item provokes must not reach the others
            await self._settle_apart(batch, error)
        else:
            for (_, future), result in zip(batch, results, strict=True):
                _resolve(future, result)

    async def _observed(self, items: Sequence[Item]) -> Sequence[Result | Exception]:
        # The loop's own clock may count in milliseconds.
        started = time.monotonic()
        try:
            return await self._run(items)
        finally:
            if self._observe is not None:
                self._observe(len(items), time.monotonic() - started)

    async def _settle_apart(
        self, batch: Sequence[tuple[Item, "asyncio.Future[Result]"]], error: Exception
    ) -> None:
        if len(batch) == 1:
            _fail(batch[0][1], error)
            return
        middle = len(batch) // 2
        await self._settle(batch[:middle])
        await self._settle(batch[middle:])


def _resolve(future: "asyncio.Future[Result]", result: Result | Exception) -> None:
    if isinstance(result, Exception):
        _fail(future, result)
    elif not future.done():
        future.set_result(result)


def _fail(future: "asyncio.Future[Result]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
