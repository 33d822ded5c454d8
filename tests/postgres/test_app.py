"""The service as a whole on a database that has its troubles."""

import logging
from pathlib import Path

import pytest

from auction.app import running_service
from auction.ports import StorageUnavailableError
from config.secret_box import new_key
from config.settings import Settings
from storage.database import Database


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
