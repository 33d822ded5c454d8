"""A watch goes on, whatever happens to one look."""

import asyncio
from datetime import timedelta
from typing import cast

import pytest

from auction.alerts.watch import AlertWatch
from auction.alerts.windows import Window
from auction.domain.alert_terms import Subject
from auction.domain.report_figures import Figures
from auction.ports import StorageUnavailableError
from storage.alerts import AlertTurn
from storage.database import Database
from tests.alert_steps import a_rule
from tests.builders import NOON
from tests.virtual_time import run_virtually


class ScriptedWatch(AlertWatch):
    """Looks that fail, then one that does not."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__(cast("Database", None), lambda: None)
        self._errors = list(errors)
        self.seen = asyncio.Event()

    async def look(self) -> bool:
        if self._errors:
            raise self._errors.pop(0)
        self.seen.set()
        return True


def test_a_look_that_fails_is_followed_by_the_next() -> None:
    async def scenario() -> None:
        watch = ScriptedWatch(StorageUnavailableError("away"), RuntimeError("a bug"))
        running = asyncio.create_task(watch.run())
        async with asyncio.timeout(60):
            await watch.seen.wait()
        running.cancel()

    run_virtually(scenario())


class CountingTurn(AlertTurn):
    """A turn that counts how often it was kept."""

    def __init__(self) -> None:
        self.kept = 0

    async def keep(self) -> None:
        self.kept += 1


def test_a_reading_that_takes_long_keeps_the_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    async def read_slowly(_database: Database, _window: Window) -> dict[Subject, Figures]:
        await asyncio.sleep(10)
        return {}

    async def scenario() -> None:
        turn = CountingTurn()
        window = Window(NOON - timedelta(minutes=5), NOON, a_rule().kind, detailed=False)
        assert await AlertWatch(cast("Database", None), lambda: None).read(turn, window) == {}
        assert turn.kept == 3

    monkeypatch.setattr("auction.alerts.watch.read_window", read_slowly)
    run_virtually(scenario())
