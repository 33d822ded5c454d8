"""``pingpost dsn``: where the database is, for psql and pg_dump."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from auction.cli import main


def test_the_configured_server_is_printed_as_it_is_configured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PINGPOST_DSN", "postgresql://us:secret@db.example/pingpost")
    told = CliRunner().invoke(main, ["dsn"])
    assert (told.exit_code, told.output) == (0, "postgresql://us:secret@db.example/pingpost\n")


def test_without_a_server_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PINGPOST_DSN", raising=False)
    told = CliRunner().invoke(main, ["dsn", "--data-dir", str(tmp_path)])
    assert told.exit_code == 1
    assert f"no service is running on {tmp_path}" in told.output
