"""Processes forked for what pages take for granted: in their folder, gone with their starter."""

from functools import partial
from pathlib import Path

import psutil

from tests.docs.preloaded import a_starter
from tests.eventually import eventually
from tests.service_process import free_port

BUYERS = "buyers: [{{name: acme, port: {port}}}]"


async def test_a_process_runs_in_its_folder_and_ends_when_it_is_told_to_or_with_its_starter(
    tmp_path: Path,
) -> None:
    started = []
    with a_starter() as starter:
        for name in ("one", "two"):
            folder = tmp_path / name
            folder.mkdir()
            (folder / "buyers.yaml").write_text(BUYERS.format(port=free_port()))
            started.append(starter.start(("simulate-buyers", "buyers.yaml"), {}, folder))
            await eventually(partial(listens, folder / "granted.log"), within_s=60)
        one, two = started
        starter.end(one)
        assert not psutil.pid_exists(one)
        assert psutil.pid_exists(two)
    assert not psutil.pid_exists(two)


def listens(log: Path) -> bool:
    return log.exists() and "listens" in log.read_text()
