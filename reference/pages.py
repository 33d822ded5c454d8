"""Which pages there are, and what makes each."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from reference.api import api_page
from reference.commands import commands_page
from reference.marketplace import marketplace_page
from reference.metrics import metrics_page
from reference.reasons import reasons_page
from reference.settings import settings_page

PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "api.md": api_page,
    "commands.md": commands_page,
    "marketplace.md": marketplace_page,
    "metrics.md": metrics_page,
    "reasons.md": reasons_page,
    "settings.md": settings_page,
}


def write_all(folder: Path) -> None:
    """Write every page into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in PAGES.items():
        (folder / name).write_text(make(), encoding="utf-8")


def outdated(folder: Path) -> list[str]:
    """The pages in ``folder`` that the code would write otherwise, or that are not there."""
    return [name for name, make in PAGES.items() if _text(folder / name) != make()]


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None
