"""The service as a whole on a database that has its troubles."""

import logging
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from auction.app import running_service
from auction.listening import listen
from auction.ports import StorageUnavailableError
from config.secret_box import new_key
from config.settings import Settings
from storage.database import Database
from tests.service_process import free_port


async def test_tables_too_busy_for_new_partitions_do_not_end_the_start(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def busy(_: Database) -> int:
        raise StorageUnavailableError("the tables are busy")

    monkeypatch.setattr("auction.preparing.add_partitions", busy)
    settings = Settings(
        dsn=dsn, secret_key=new_key(), data_dir=tmp_path, port=0, ops_port=0, migrate=False
    )
    with caplog.at_level(logging.WARNING):
        async with running_service(settings) as handle:
            assert handle.base_url
    assert "the tables are busy" in caplog.text


async def test_nobody_is_told_that_it_is_ready_before_it_takes_calls(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, ops_port = free_port(), free_port()
    told: list[bool] = []

    async def listening(application: web.Application, host: str, at: int) -> Any:
        if at == port:
            told.append(await _is_ready(ops_port))
        return await listen(application, host, at)

    monkeypatch.setattr("auction.app.listen", listening)
    settings = Settings(
        dsn=dsn, secret_key=new_key(), data_dir=tmp_path, port=port, ops_port=ops_port
    )
    async with running_service(settings):
        told.append(await _is_ready(ops_port))
    assert told == [False, True]


async def _is_ready(ops_port: int) -> bool:
    url = f"http://127.0.0.1:{ops_port}/readyz"
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status == 200
    except aiohttp.ClientConnectorError:
        return False
