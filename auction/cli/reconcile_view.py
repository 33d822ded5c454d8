"""What a comparison with a buyer's file found: a table, and every row as CSV."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from auction.cli.buyer_file import BuyerFile
from auction.domain.money import render
from auction.domain.phone import mask
from auction.domain.tie_out import Finding, ListedCall, Row, SoldCall, Sums, totals

PLAIN_WIDTH: Final = 100
"""Columns where there is no terminal that says how many it has."""

COLUMNS: Final = (
    "class",
    "note",
    "call_id",
    "attempt",
    "caller_id",
    "our_start",
    "our_connected_s",
    "our_total_s",
    "our_amount",
    "line",
    "their_call_id",
    "their_caller_id",
    "their_start",
    "their_duration_s",
    "their_amount",
)

_STARTS_A_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
_A_NUMBER: Final = re.compile(r"\+\d*\*{0,5}\d+", re.ASCII)
_EQUALS_TOTAL: Final = "their duration is our total time, not the connected time"


@dataclass(frozen=True, slots=True)
class Report:
    """A finished comparison of the time from ``since`` on and before ``until``."""

    buyer: str
    currency: str
    since: datetime
    until: datetime
    file: BuyerFile
    rows: Sequence[Row]

    @property
    def agrees(self) -> bool:
        """Whether all matched and every row could be read."""
        return not self.file.bad_count and all(row.agrees for row in self.rows)


def show_notes(file: BuyerFile) -> None:
    """Which columns were taken for what, and the rows that can't be read, on standard error."""
    notes = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    taken = ", ".join(f"{ours} from {header!r}" for ours, header in file.columns.items())
    notes.print(f"columns: {taken}")
    for line, why in file.bad:
        notes.print(f"line {line}: {why}")
    if file.bad_count:
        more = file.bad_count - len(file.bad)
        told = f" ({more} not shown)" if more else ""
        notes.print(f"{file.bad_count} rows can't be read and are not compared{told}")


def show(report: Report) -> None:
    """The totals on standard output."""
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=PLAIN_WIDTH)
    span = f"{_moment(report.since)} to {_moment(report.until)}"
    console.print(f"{report.buyer}, {span}, amounts in {report.currency}")
    console.print(_table(report))
    by_total = sum(row.is_total for row in report.rows)
    if by_total:
        console.print(f"In {by_total} of the different durations {_EQUALS_TOTAL}.")
    if report.file.calls and not any(row.ours and row.theirs for row in report.rows):
        console.print("Not one call matches: are --time-zone and the columns right?")


def _table(report: Report) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("class")
    for title in ("calls", "ours", "theirs", "difference"):
        table.add_column(title, justify="right")
    total = Sums()
    for group, sums in totals(report.rows).items():
        table.add_row(_class(group), *_figures(sums))
        total.calls += sums.calls
        total.ours += sums.ours
        total.theirs += sums.theirs
    table.add_section()
    table.add_row("total", *_figures(total))
    return table


def _figures(sums: Sums) -> tuple[str, ...]:
    return (str(sums.calls), render(sums.ours), render(sums.theirs), render(sums.difference))


def _class(findings: Sequence[Finding]) -> str:
    return "+".join(finding.value for finding in findings)


def write_rows(path: Path, rows: Sequence[Row], *, show_numbers: bool) -> None:
    """Every row with its class and both sides; numbers are masked unless they are to be shown."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in rows:
            cells = (
                _class(row.findings),
                _EQUALS_TOTAL if row.is_total else "",
                *_our_cells(row.ours, show_numbers=show_numbers),
                *_their_cells(row.theirs, show_numbers=show_numbers),
            )
            writer.writerow([_harmless(cell) for cell in cells])


def _our_cells(ours: SoldCall | None, *, show_numbers: bool) -> tuple[str, ...]:
    if ours is None:
        return ("",) * 7
    return (
        ours.call_id,
        str(ours.attempt),
        _number(ours.caller, show_numbers=show_numbers),
        _moment(ours.start),
        _seconds(ours.connected_s),
        _seconds(ours.total_s),
        render(ours.amount),
    )


def _their_cells(theirs: ListedCall | None, *, show_numbers: bool) -> tuple[str, ...]:
    if theirs is None:
        return ("",) * 6
    return (
        str(theirs.line),
        theirs.call_id or "",
        _number(theirs.caller or theirs.digits, show_numbers=show_numbers),
        "" if theirs.start is None else _moment(theirs.start),
        _seconds(theirs.duration_s),
        "" if theirs.amount is None else render(theirs.amount),
    )


def _number(number: str | None, *, show_numbers: bool) -> str:
    if number is None:
        return ""
    return number if show_numbers else mask(number)


def _seconds(duration: Decimal | None) -> str:
    return "" if duration is None else f"{duration.normalize():f}"


def _moment(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _harmless(text: str) -> str:
    """Text that no spreadsheet takes for a formula; telephone numbers stay as they are."""
    if not text.startswith(_STARTS_A_FORMULA) or _A_NUMBER.fullmatch(text):
        return text
    return f"'{text}"
