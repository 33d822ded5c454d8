"""The load of a process, on virtual time."""

import asyncio
from contextlib import suppress

from auction.domain.overload import LoadLevel, Thresholds
from metrics.load import FEW_CALLS, LoadTerms, LoadWatch
from tests.virtual_time import VirtualTimeLoop, run_virtually

NEVER = Thresholds(0, 0)


def a_watch(
    terms: LoadTerms,
    *,
    calls: list[int] | None = None,
    queued: list[int] | None = None,
    readings: list[tuple[int, int]] | None = None,
) -> tuple[LoadWatch, list[LoadLevel]]:
    """A watch over readings that a test changes, and the levels it tells of."""
    told: list[LoadLevel] = []
    read = [] if readings is None else readings
    watch = LoadWatch(
        terms,
        calls=lambda: (calls or [0])[0],
        queued=lambda: (queued or [0])[0],
        on_level=told.append,
        on_reading=lambda *each: read.append(each),
    )
    return watch, told


def test_calls_under_decision_raise_the_level_with_the_very_call() -> None:
    calls = [0]
    watch, told = a_watch(LoadTerms(NEVER, Thresholds(10, 20), NEVER), calls=calls)
    levels = []
    for calls[0] in (0, 6, 7, 9, 10, 9, 7, 6, 9, 20, 0):
        levels.append(int(watch.level()))
    assert levels == [0, 0, 0, 0, 1, 1, 1, 0, 0, 2, 0]
    assert told == [
        LoadLevel.STATIC_ONLY,
        LoadLevel.NORMAL,
        LoadLevel.REFUSE,
        LoadLevel.NORMAL,
    ]


def test_steps_that_wait_for_the_database_raise_the_level_soon() -> None:
    queued, readings = [0], list[tuple[int, int]]()
    terms = LoadTerms(NEVER, NEVER, Thresholds(100, 200))
    watch, told = a_watch(terms, calls=[2], queued=queued, readings=readings)

    async def scenario() -> None:
        watching = asyncio.create_task(watch.run())
        for queued[0], level in ((100, LoadLevel.STATIC_ONLY), (200, LoadLevel.REFUSE)):
            await asyncio.sleep(0.05)
            assert watch.level() is level
            assert readings[-1] == (2, queued[0])
        queued[0] = 0
        await asyncio.sleep(0.05)
        assert watch.level() is LoadLevel.NORMAL
        assert len(told) == 3
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching

    run_virtually(scenario())


def test_a_loop_that_keeps_lagging_raises_the_level_and_one_that_recovers_lowers_it() -> None:
    calls = [FEW_CALLS]
    watch, told = a_watch(LoadTerms(Thresholds(100, 500), NEVER, NEVER), calls=calls)

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        watching = asyncio.create_task(watch.run())
        await asyncio.sleep(0)
        loop._jumping.now += 0.8
        await asyncio.sleep(0.2)
        assert told == [], "one stall alone is no overload"
        for _ in range(40):
            await asyncio.sleep(0.025)
            loop._jumping.now += 0.3
        assert told == [LoadLevel.STATIC_ONLY]
        calls[0] = FEW_CALLS - 1
        assert watch.level() is LoadLevel.NORMAL, "it is not calls that make it late"
        calls[0] = FEW_CALLS
        assert watch.level() is LoadLevel.STATIC_ONLY
        await asyncio.sleep(1)
        assert told[-1] is LoadLevel.NORMAL
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching

    run_virtually(scenario())
