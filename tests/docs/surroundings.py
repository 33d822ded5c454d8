"""A folder like a checkout with `make setup` done, on ports of a test's own."""

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.docs.pages import ROOT
from tests.docs.shell import Shell
from tests.service_process import free_port

PORTS = (8080, 8081, 9090, 9091, *range(9100, 9110), 5433)
"""The ports that pages speak of; each stands for a free one."""

PYTHON = f"""
case "$1 $2" in "-m benchmarks") shift 2; set -- -m tests.docs.small_loads "$@" ;; esac
exec {sys.executable} "$@"
"""
"""Python as pages call it: loads are small ones."""

_TIME_LIMIT = re.compile(r"((?:timeout|budget)_ms\"?: ?(?=\d{3,4}\b)|--retry )(\d+)\b")
_FOLDERS = ("tests/fixtures", "auction/demo", "deploy")
_LINKED = (
    *("benchmarks", "metrics", "tests/e2e", "docs"),
    *("Makefile", "pyproject.toml", "requirements.lock"),
)
_KEEP = ("PATH", "HOME", "LANG", "LC_ALL", "TERM", "TZ")


class Surroundings:
    """The folder, its shell, and which port stands for which."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.ports = {str(port): str(free_port()) for port in PORTS}
        self._there = re.compile(rf"(?<![\d.])({'|'.join(self.ports)})(?![\d])")
        back = {mine: theirs for theirs, mine in self.ports.items()}
        self._back = re.compile(rf"(?<=:)({'|'.join(back)})(?!\d)")
        self._theirs = back
        _make_checkout(folder, self.here)
        self.folder = folder
        self.environment = {**_environment(folder, self.ports), **environment}
        self.shell = Shell(folder, self.environment)

    def here(self, text: str) -> str:
        """A page's text with the ports of this test, and time enough on a machine that is busy."""
        patient = _TIME_LIMIT.sub(lambda match: f"{match[1]}{match[2]}0", text)
        return self._there.sub(lambda match: self.ports[match[1]], patient)

    def on_page(self, text: str) -> str:
        """Output with the ports that the page speaks of."""
        return self._back.sub(lambda match: self._theirs[match[1]], text)


@contextmanager
def surroundings(folder: Path, environment: Mapping[str, str]) -> Iterator[Surroundings]:
    """Where a page is tried; nothing that it has started is left running."""
    made = Surroundings(folder, environment)
    try:
        yield made
    finally:
        made.shell.close()


def _environment(folder: Path, ports: Mapping[str, str]) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEEP if name in os.environ}
    return {
        **kept,
        "PATH": os.pathsep.join((str(folder / ".venv" / "bin"), kept.get("PATH", "/usr/bin:/bin"))),
        "PYTHONPATH": str(ROOT),
        "PINGPOST_DATA_DIR": str(folder / "data"),
        "PINGPOST_PORT": ports["8080"],
        "PINGPOST_OPS_PORT": ports["9090"],
        "COLUMNS": "120",
        "TMPDIR": str(folder),
    }


def _make_checkout(folder: Path, here: Callable[[str], str]) -> None:
    bin_folder = folder / ".venv" / "bin"
    bin_folder.mkdir(parents=True)
    _script(bin_folder / "python", PYTHON)
    _script(bin_folder / "pingpost", f'exec {sys.executable} -m auction "$@"')
    for name in _FOLDERS:
        shutil.copytree(ROOT / name, folder / name)
        for file in (folder / name).rglob("*.yaml"):
            file.write_text(here(file.read_text(encoding="utf-8")), encoding="utf-8")
    for name in _LINKED:
        if (ROOT / name).exists():
            (folder / name).symlink_to(ROOT / name)
    (folder / ".venv" / ".ready").touch()


def _script(path: Path, commands: str) -> None:
    path.write_text(f"#!/bin/sh\n{commands}\n", encoding="utf-8")
    path.chmod(0o755)
