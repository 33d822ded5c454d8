"""The event loop's lag, on virtual time."""

import asyncio
from contextlib import suppress

import pytest

from metrics.loop_lag import LoopLagMonitor
from tests.virtual_time import VirtualTimeLoop, run_virtually


def test_a_stall_is_seen_and_stays_visible_until_it_is_old() -> None:
    reports = run_virtually(_lag_around_a_stall())
    stalled = [lag for lag in reports if lag > 0.001]
    assert stalled == [pytest.approx(0.045)] * 3
    assert reports[0] == pytest.approx(0)
    assert reports[-1] == pytest.approx(0)


async def _lag_around_a_stall() -> list[float]:
    reports: list[float] = []
    monitor = LoopLagMonitor(reports.append, interval_s=0.01, kept=3)
    task = asyncio.create_task(monitor.run())
    await asyncio.sleep(0.015)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop._jumping.now += 0.05
    await asyncio.sleep(0.1)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return reports
