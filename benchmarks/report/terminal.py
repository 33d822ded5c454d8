"""A report on a terminal, or in a file."""

import sys

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable

from benchmarks.report.cells import cell_text, is_figure
from benchmarks.report.files import ReportFiles
from benchmarks.report.model import Report, Table

PLAIN_WIDTH = 110
"""Columns where there is no terminal that says how many it has."""


def make_console() -> Console:
    """Standard output, for results."""
    return Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)


def make_notes() -> Console:
    """Standard error, for progress and what is not a result."""
    return Console(stderr=True, highlight=False)


def show_report(console: Console, report: Report, files: ReportFiles | None = None) -> None:
    """Tables, notes and where the files are."""
    for table in report.tables:
        console.print(_rich_table(table))
    for note in report.notes:
        console.print(f"- {note}", soft_wrap=True, markup=False)
    if files is not None:
        console.print(f"\nWritten: {files.html} and {files.json}", soft_wrap=True, markup=False)


def _rich_table(table: Table) -> RichTable:
    shown = RichTable(
        title=table.title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1)
    )
    for number, column in enumerate(table.columns):
        figures = any(is_figure(row[number]) for row in table.rows)
        shown.add_column(column, justify="right" if figures else "left", overflow="fold")
    for row in table.rows:
        shown.add_row(*(cell_text(cell) for cell in row))
    return shown
