"""The service's own end, whatever fails in it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from auction.app import STORE_CLOSE_S, Service, _close_store
from config.settings import Settings
from tests.virtual_time import run_virtually


class Part:
    """Something of the service whose every end fails."""

    def __init__(self, name: str, ended: list[str]) -> None:
        self.name = name
        self.ended = ended

    @property
    def sites(self) -> "list[Part]":
        return [Part("site one", self.ended), Part("site two", self.ended)]

    async def stop(self) -> None:
        self._end()

    async def cleanup(self) -> None:
        self._end()

    async def finish_late_decisions(self) -> None:
        self._end()

    def _end(self) -> None:
        self.ended.append(self.name)
        raise OSError(self.name)


async def test_every_step_of_the_stop_is_taken_whatever_the_others_raise(tmp_path: Path) -> None:
    ended: list[str] = []
    service: Any = Service(Settings(data_dir=tmp_path), "postgresql://nowhere/")
    service._api = Part("api", ended)
    service._ops = Part("ops", ended)
    service._calls = Part("reception", ended)
    for name in ("database", "ledger"):
        service._stack.push_async_callback(Part(name, ended).stop)
    with pytest.raises(OSError, match="database"):
        await service.stop()
    assert sorted(ended[:2]) == ["site one", "site two"]
    assert ended[2:] == ["api", "reception", "ops", "ledger", "database"]


def test_a_store_whose_database_hangs_does_not_hold_up_the_end() -> None:
    async def hangs() -> None:
        await asyncio.sleep(3600)

    async def scenario() -> float:
        await _close_store(hangs)
        return asyncio.get_running_loop().time()

    assert run_virtually(scenario()) == STORE_CLOSE_S
