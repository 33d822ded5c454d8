"""What systemd is told, on a real socket."""

import socket
from pathlib import Path

import pytest

from auction.service_manager import State, tell_service_manager


@pytest.mark.parametrize("abstract", [False, True])
def test_whoever_has_started_us_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool
) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(5)
        manager.bind(f"\0{path}" if abstract else path)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{path}" if abstract else path)
        tell_service_manager(State.READY)
        tell_service_manager(State.STOPPING)
        assert [manager.recv(100), manager.recv(100)] == [b"READY=1", b"STOPPING=1"]


def test_one_that_is_gone_or_was_never_there_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    tell_service_manager(State.READY)
    assert not caplog.records
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    tell_service_manager(State.READY)
    assert [vars(record)["action"] for record in caplog.records] == ["service_manager"]
