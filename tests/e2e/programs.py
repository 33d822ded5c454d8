"""The real programs that the end-to-end tests drive."""

import os
import shutil
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / ".e2e-tools" / "bin"
SYSTEM_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))


def program(name: str) -> Path:
    """Where the program ``name`` is.

    A test that needs one which is not installed is skipped with a word that says what to do; in
    CI, where ``tests/e2e/install.sh`` has installed all of them, it fails instead.
    """
    return _found(name, SYSTEM_PATH)


def tool(name: str) -> Path:
    """Where ``name`` is, of the tools that ``install.sh`` has made for itself; else as above."""
    return _found(name, str(TOOLS))


def needed(is_there: bool, said: str) -> None:
    """Skip the test with a word where something is not there; in CI it fails."""
    if not is_there and os.environ.get("CI"):
        pytest.fail(said)
    if not is_there:
        pytest.skip(said)


def _found(name: str, path: str) -> Path:
    found = shutil.which(name, path=path)
    needed(found is not None, f"{name} is not installed here; `make e2e` says what it takes")
    return Path(str(found))
