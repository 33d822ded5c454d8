"""Group commit: what forms a batch, and who fails when one of it does."""

import asyncio
import time
from collections.abc import Sequence

import pytest

from auction.ports import StorageUnavailableError
from storage.batch import Batcher, BatchLimits
from tests.eventually import eventually
from tests.virtual_time import run_virtually


class Doubling:
    """Doubles numbers batch by batch, each batch when it is let go; 13 can't be stored."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.away = False

    async def run(self, items: Sequence[int]) -> Sequence[int | Exception]:
        self.batches.append(list(items))
        await self.gate.wait()
        if self.away:
            raise StorageUnavailableError("away")
        if 13 in items:
            raise ValueError("13 can't be stored")
        return [KeyError("7 alone") if item == 7 else item * 2 for item in items]


async def test_items_that_come_during_a_batch_form_the_next() -> None:
    work = Doubling()
    batcher = Batcher(work.run)
    first = batcher.submit(1)
    await eventually(lambda: work.batches == [[1]])
    rest = [batcher.submit(number) for number in (2, 3, 4)]
    work.gate.set()
    assert await asyncio.gather(first, *rest) == [2, 4, 6, 8]
    assert work.batches == [[1], [2, 3, 4]]


async def test_items_that_come_at_once_form_one_batch_even_with_several_lanes() -> None:
    work = Doubling()
    work.gate.set()
    batcher = Batcher(work.run, BatchLimits(lanes=2))
    assert await asyncio.gather(*(batcher.submit(number) for number in (1, 2, 3))) == [2, 4, 6]
    assert work.batches == [[1, 2, 3]]


async def test_a_second_lane_goes_while_the_first_is_in_flight() -> None:
    work = Doubling()
    batcher = Batcher(work.run, BatchLimits(lanes=2))
    futures = [batcher.submit(1)]
    await eventually(lambda: len(work.batches) == 1)
    futures.append(batcher.submit(2))
    await eventually(lambda: work.batches == [[1], [2]])
    futures += [batcher.submit(3), batcher.submit(4)]
    work.gate.set()
    assert await asyncio.gather(*futures) == [2, 4, 6, 8]
    assert work.batches == [[1], [2], [3, 4]]


async def test_a_batch_has_at_most_so_many_items() -> None:
    work, told = Doubling(), list[tuple[int, float]]()
    work.gate.set()
    batcher = Batcher(work.run, BatchLimits(max_size=3), observe=lambda *each: told.append(each))
    await asyncio.gather(*(batcher.submit(number) for number in range(5)))
    assert [size for size, _ in told] == [3, 2]


async def test_of_each_run_the_time_is_told_though_it_fails() -> None:
    work, told = Doubling(), list[tuple[int, float]]()
    batcher = Batcher(work.run, observe=lambda *each: told.append(each))
    future = batcher.submit(13)
    began = time.monotonic()
    asyncio.get_running_loop().call_later(0.05, work.gate.set)
    with pytest.raises(ValueError, match="13"):
        await future
    [(size, seconds)] = told
    assert size == 1
    assert 0.04 < seconds <= time.monotonic() - began + 0.01


async def test_an_item_that_can_not_be_stored_fails_alone() -> None:
    work = Doubling()
    work.gate.set()
    batcher = Batcher(work.run)
    futures = [batcher.submit(number) for number in (1, 13, 3, 4)]
    results = await asyncio.gather(*futures, return_exceptions=True)
    assert [each for each in results if not isinstance(each, Exception)] == [2, 6, 8]
    assert isinstance(results[1], ValueError)


async def test_an_item_with_an_error_of_its_own_leaves_the_rest_stored() -> None:
    work = Doubling()
    work.gate.set()
    batcher = Batcher(work.run)
    futures = [batcher.submit(number) for number in (1, 7, 3)]
    results = await asyncio.gather(*futures, return_exceptions=True)
    assert (results[0], results[2]) == (2, 6)
    assert isinstance(results[1], KeyError)
    assert len(work.batches) == 1


async def test_without_a_database_every_item_fails_once() -> None:
    work = Doubling()
    work.away = True
    work.gate.set()
    batcher = Batcher(work.run)
    futures = [batcher.submit(number) for number in (1, 2)]
    results = await asyncio.gather(*futures, return_exceptions=True)
    assert [type(each) for each in results] == [StorageUnavailableError] * 2
    assert len(work.batches) == 1


async def test_a_full_queue_refuses() -> None:
    work = Doubling()
    batcher = Batcher(work.run, BatchLimits(max_queue=2))
    first = batcher.submit(1)
    await eventually(lambda: len(work.batches) == 1)
    waiting = [batcher.submit(2), batcher.submit(3)]
    with pytest.raises(StorageUnavailableError):
        batcher.submit(4)
    work.gate.set()
    assert await asyncio.gather(first, *waiting) == [2, 4, 6]


async def test_an_item_whose_caller_has_left_is_not_run() -> None:
    work = Doubling()
    batcher = Batcher(work.run)
    first = batcher.submit(1)
    await eventually(lambda: len(work.batches) == 1)
    left, stays = batcher.submit(2), batcher.submit(3)
    left.cancel()
    work.gate.set()
    assert (await first, await stays) == (2, 6)
    assert work.batches == [[1], [3]]


async def test_closing_waits_for_what_was_submitted() -> None:
    work = Doubling()
    batcher = Batcher(work.run)
    future = batcher.submit(1)
    closing = asyncio.create_task(batcher.close())
    await eventually(lambda: len(work.batches) == 1)
    assert not closing.done()
    work.gate.set()
    await closing
    assert future.result() == 2


async def test_the_next_item_after_an_idle_time_is_run_too() -> None:
    work = Doubling()
    work.gate.set()
    batcher = Batcher(work.run)
    assert await batcher.submit(1) == 2
    assert await batcher.submit(2) == 4
    await batcher.close()
    assert await batcher.submit(3) == 6


def test_a_batch_that_goes_its_way_is_waited_for_and_one_that_stalls_is_not() -> None:
    async def scenario() -> None:
        work = Doubling()
        batcher = Batcher(work.run, BatchLimits(lanes=2, stalled_s=0.02))
        futures = [batcher.submit(1), batcher.submit(2)]
        await asyncio.sleep(0.01)
        futures += [batcher.submit(3), batcher.submit(4)]
        await asyncio.sleep(0.009)
        assert work.batches == [[1, 2]]
        await asyncio.sleep(0.002)
        assert work.batches == [[1, 2], [3, 4]]
        work.gate.set()
        assert await asyncio.gather(*futures) == [2, 4, 6, 8]

        work.gate.clear()
        futures = [batcher.submit(5)]
        await asyncio.sleep(0.001)
        futures.append(batcher.submit(6))
        await asyncio.sleep(0.001)
        assert work.batches[2:] == [[5]]
        work.gate.set()
        assert await asyncio.gather(*futures) == [10, 12]

    run_virtually(scenario())


def test_under_load_the_next_batch_gathers() -> None:
    async def scenario() -> None:
        work = Doubling()
        work.gate.set()
        limits = BatchLimits(busy=2, gather_s=0.025, most_gather_s=1.0)
        batcher = Batcher(work.run, limits)
        await asyncio.gather(*(batcher.submit(number) for number in (1, 2)))
        early = batcher.submit(3)
        await asyncio.sleep(0.04)
        late = batcher.submit(4)
        assert [await early, await late] == [6, 8]
        assert work.batches == [[1, 2], [3, 4]]

    run_virtually(scenario())


def test_no_batch_gathers_longer_than_the_most() -> None:
    async def scenario() -> None:
        work = Doubling()
        work.gate.set()
        limits = BatchLimits(busy=2, gather_s=0.05, most_gather_s=0.06)
        batcher = Batcher(work.run, limits)
        await asyncio.gather(*(batcher.submit(number) for number in (1, 2)))
        early = batcher.submit(3)
        await asyncio.sleep(0.07)
        late = batcher.submit(4)
        assert [await early, await late] == [6, 8]
        assert work.batches == [[1, 2], [3], [4]]

    run_virtually(scenario())


async def test_at_ease_nothing_is_gathered() -> None:
    work = Doubling()
    work.gate.set()
    batcher = Batcher(work.run, BatchLimits(busy=2, gather_s=60, most_gather_s=60))
    assert await batcher.submit(1) == 2
    assert await batcher.submit(2) == 4
