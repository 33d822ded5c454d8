"""Which pages there are, and what makes each."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from reference.api import api_page
from reference.commands import commands_page
from reference.decisions import decisions_page
from reference.marketplace import marketplace_page
from reference.metrics import metrics_page
from reference.reasons import reasons_page
from reference.settings import settings_page

PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "adr/README.md": decisions_page,
    "reference/api.md": api_page,
    "reference/commands.md": commands_page,
    "reference/marketplace.md": marketplace_page,
    "reference/metrics.md": metrics_page,
    "reference/reasons.md": reasons_page,
    "reference/settings.md": settings_page,
}
"""By their place below ``docs``."""


@cache
def made(name: str) -> str:
    """The text of a page, by its name in ``PAGES``."""
    return PAGES[name]()


def write_all(folder: Path) -> None:
    """Write every page into ``folder``."""
    for name in PAGES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(made(name), encoding="utf-8")


def outdated(folder: Path) -> list[str]:
    """The pages in ``folder`` that the code would write otherwise, or that are not there."""
    return [name for name in PAGES if _text(folder / name) != made(name)]


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None
