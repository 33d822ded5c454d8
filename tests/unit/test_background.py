"""Background work: begun again after a failure, ended by stop."""

import asyncio
import logging

import pytest

from auction.background import Background
from tests.virtual_time import run_virtually


def test_work_that_fails_is_logged_and_begun_again(caplog: pytest.LogCaptureFixture) -> None:
    begun = 0

    async def work() -> None:
        nonlocal begun
        begun += 1
        if begun < 3:
            raise ValueError("odd row")
        await asyncio.sleep(3600)

    async def scenario() -> None:
        background = Background()
        background.keep_running("sweeper", work)
        await asyncio.sleep(5)
        await background.stop()

    with caplog.at_level(logging.ERROR):
        run_virtually(scenario())
    assert begun == 3
    assert len(caplog.records) == 2


def test_stop_ends_work_under_way() -> None:
    ended = False

    async def work() -> None:
        nonlocal ended
        try:
            await asyncio.sleep(3600)
        finally:
            ended = True

    async def scenario() -> None:
        background = Background()
        background.keep_running("work", work)
        await asyncio.sleep(1)
        await background.stop()

    run_virtually(scenario())
    assert ended
