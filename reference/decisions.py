"""The index of decisions, from their first lines."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from reference.markdown import page, table

_FOLDER = Path(__file__).parents[1] / "docs" / "adr"
_TITLE = re.compile(r"# (?:ADR )?(?:\d+[.:]? +)?(.+)")
_INTRO = """\
Why it is built this way, one decision or one subject a page, in the order in which they were
taken. A decision that another one replaces says so. A new one gets the next number. What was
decided for alerts stands on [their page](../alerts.md#why-it-is-so)."""


def decisions_page() -> str:
    """The page, a row for each decision."""
    return page(
        "Decisions", "the first lines of these pages", _INTRO, table(("", "decided"), _rows())
    )


def _rows() -> Iterator[Sequence[str]]:
    for path in sorted(_FOLDER.glob("[0-9]*.md")):
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        title = _TITLE.fullmatch(first)
        assert title is not None, f"{path}: begins with a title"
        yield path.name[:4], f"[{title[1]}]({path.name})"
