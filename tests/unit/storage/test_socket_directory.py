"""Where PostgreSQL's socket is: a socket's path is short, whatever folders are called."""

import os
import tempfile
from pathlib import Path

import pytest

from storage.data_directory import SOCKET_NAME, DataDirectory, make_socket_directory

LONGEST = 107


@pytest.mark.parametrize("data", ["data", "d" * 120])
@pytest.mark.parametrize("temporary", ["short", "t" * 120])
def test_the_path_is_short_enough_in_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str, temporary: str
) -> None:
    root = tmp_path / data
    root.mkdir()
    (tmp_path / temporary).mkdir(exist_ok=True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / temporary))
    made = make_socket_directory(DataDirectory.at(root), None)
    try:
        assert made.is_dir()
        assert len(os.fsencode(str(made / SOCKET_NAME))) <= LONGEST
    finally:
        made.rmdir()
