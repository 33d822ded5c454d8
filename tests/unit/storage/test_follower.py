"""Following a revision, whatever fails."""

import asyncio
import logging

import pytest

from config.poolers import Pooler
from storage.database import Database
from storage.follower import CatalogueFollower
from tests.virtual_time import run_virtually


@pytest.mark.parametrize("error", [ValueError("odd"), RuntimeError("odder")])
def test_following_goes_on_after_any_error_which_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    tries = 0

    async def fails(*_: object, **__: object) -> None:
        nonlocal tries
        tries += 1
        raise error

    async def taken_up(_: int) -> None:
        pytest.fail("nothing was read")

    async def scenario() -> None:
        monkeypatch.setattr(Database, "open_connection", fails)
        database = Database.__new__(Database)
        database.pooler = Pooler.NONE
        following = CatalogueFollower(database, taken_up)
        following.start(1)
        await asyncio.sleep(5)
        await following.stop()

    with caplog.at_level(logging.WARNING):
        run_virtually(scenario())
    assert tries > 10
    assert [record.exc_info is not None for record in caplog.records] == [True]
