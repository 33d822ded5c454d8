"""Whether a server has a connection for every worker."""

from pathlib import Path

import pytest

from auction.workers.connections import check_room
from config.settings import Settings
from storage.database import Database


@pytest.mark.parametrize(("workers", "told"), [(2, 0), (64, 1)])
async def test_too_few_connections_are_told(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture, workers: int, told: int
) -> None:
    await check_room(database, Settings(data_dir=tmp_path, workers=workers))
    assert len(caplog.records) == told
