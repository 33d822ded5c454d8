"""What is installed elsewhere than in a checkout: every package, and every file beside the code."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("auction", "benchmarks", "buyers", "config", "metrics", "storage")


def setuptools() -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = tomllib.loads((ROOT / "pyproject.toml").read_text())[
        "tool"
    ]["setuptools"]
    return found


def test_every_folder_with_code_is_a_package_that_is_installed() -> None:
    folders = {path.parent for room in ROOMS for path in (ROOT / room).rglob("__init__.py")}
    names = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert set(setuptools()["packages"]) == names


def test_every_file_that_the_service_reads_is_installed_with_it() -> None:
    listed = {
        path
        for package, patterns in setuptools()["package-data"].items()
        for pattern in patterns
        for path in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    data = {
        path
        for room in ("auction", "buyers", "config", "storage")
        for path in (ROOT / room).rglob("*.*")
        if path.suffix in (".html", ".sql", ".toml", ".yaml", ".json")
    }
    assert data <= listed


def test_both_locks_bring_what_tracing_needs() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    needed = {re.split(r"[<>=\[]", each)[0] for each in extras["otel"]}
    for lock in ("requirements.lock", "deploy/docker/requirements.lock"):
        locked = re.findall(r"^([\w.-]+)==", (ROOT / lock).read_text(), re.MULTILINE)
        assert needed <= set(locked), lock
