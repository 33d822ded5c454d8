"""Markdown of the reference pages."""

from collections.abc import Iterable, Sequence

MADE = "<!-- Made by `make reference` from {source}: change that, not this page. -->"


def page(title: str, source: str, *parts: str) -> str:
    """A whole page; ``source`` is what it is made from."""
    head = (f"# {title}", MADE.format(source=source))
    return "\n\n".join([*head, *(part.rstrip() for part in parts if part.strip())]) + "\n"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, empty text for one without rows."""
    lines = [_line([cell.replace("|", "\\|") for cell in row]) for row in rows]
    if not lines:
        return ""
    return "\n".join([_line(heads), "|" + "---|" * len(heads), *lines])


def code(value: str) -> str:
    """As code, empty for nothing."""
    return f"`{value}`" if value else ""


def anchor(title: str) -> str:
    """What a link to a heading of plain letters names."""
    return title.lower().replace(" ", "-")


def one_line(text: str) -> str:
    """Text of a docstring on one line, its code in Markdown's way."""
    return " ".join(text.replace("``", "`").split())


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
