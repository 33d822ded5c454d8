"""Figures as people read them, the same on a terminal and on a page."""

from benchmarks.report.model import Cell

NOTHING = "–"


def cell_text(value: Cell) -> str:
    """Whole numbers with thousands apart, others with about four digits; nothing as a dash."""
    if value is None:
        return NOTHING
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return _fraction_text(value)


def _fraction_text(value: float) -> str:
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if size >= 100:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 1 or size == 0 else f"{value:.3g}"


def is_figure(value: Cell) -> bool:
    """Whether a cell stands to the right, as numbers do."""
    return isinstance(value, int | float) and not isinstance(value, bool)
