"""The demo on a terminal, or in a file."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from auction.demo.figures import OfferRow, OutcomeRow, Record, Report
from auction.domain.phone import mask

PLAIN_WIDTH = 100
"""Columns where there is no terminal that says how many it has."""

_NONE = "-"


def make_console() -> Console:
    """Standard output, wide enough for the tables when it is no terminal."""
    return Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)


def make_notes() -> Console:
    """Standard error, for what is not a result."""
    return Console(stderr=True, highlight=False)


@contextmanager
def progress_bar(notes: Console, total: int) -> Iterator["Bar"]:
    """A bar while calls run, on a terminal only."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=notes, disable=not notes.is_terminal, transient=True
    ) as progress:
        yield Bar(progress, total)


class Bar:
    """Counts calls that are over."""

    def __init__(self, progress: Progress, total: int) -> None:
        """A bar from 0 to ``total``."""
        self._progress = progress
        self._task = progress.add_task("Calls", total=total)

    def step(self) -> None:
        """One call more."""
        self._progress.advance(self._task)


def show(console: Console, report: Report) -> None:
    """Tables, checks and one call's decision."""
    console.print(_outcome_table(report))
    console.print(_offer_table(report))
    if report.example is not None:
        _show_trace(console, report.example)
    console.print()
    for check in report.checks:
        mark = "[green]agrees[/]   " if check.holds else "[red]DISAGREES[/]"
        console.print(f"{mark} {check.text}", soft_wrap=True)
    console.print(_verdict(report))


def _verdict(report: Report) -> str:
    if report.sound:
        return "[bold]Service and buyers agree on every figure.[/]"
    return "[bold red]Service and buyers do not agree.[/]"


def _table(title: str, *columns: str, texts: int = 1) -> Table:
    """The first ``texts`` columns hold words, the rest figures."""
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        padding=(0, 0),
    )
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number < texts else "right", no_wrap=True)
    return table


def _outcome_table(report: Report) -> Table:
    table = _table(
        "Calls by outcome",
        *("outcome", "calls", "answered", "converted", f"revenue\n{report.currency}"),
        *("payout\n", "margin\n"),
        *("ms\np50", "\np99"),
    )
    for row in report.outcomes:
        table.add_row(*_outcome_cells(row))
    table.add_section()
    table.add_row(
        "all",
        str(sum(row.calls for row in report.outcomes)),
        str(sum(row.answered for row in report.outcomes)),
        str(sum(row.converted for row in report.outcomes)),
        _money(sum((row.revenue for row in report.outcomes), Decimal(0))),
        _money(sum((row.payout for row in report.outcomes), Decimal(0))),
        _money(sum((row.margin for row in report.outcomes), Decimal(0))),
    )
    return table


def _outcome_cells(row: OutcomeRow) -> tuple[str, ...]:
    counts = (row.calls, row.answered, row.converted)
    return (
        row.outcome,
        *map(str, counts),
        _money(row.revenue),
        _money(row.payout),
        _money(row.margin),
        _milliseconds(row.p50_ms),
        _milliseconds(row.p99_ms),
    )


def _offer_table(report: Report) -> Table:
    table = _table(
        "Offers",
        *("offer", "pings", "bids", "timed\nout", "failed", "wins", "accepted\nposts"),
        *("static\nroutes", f"revenue\n{report.currency}", "p50\nms", "p99\nms"),
    )
    for row in report.offers:
        table.add_row(*_offer_cells(row))
    return table


def _offer_cells(row: OfferRow) -> tuple[str, ...]:
    pinged = (row.pings, row.bids, row.timeouts, row.failed, row.wins, row.accepted_posts)
    return (
        row.offer,
        *(str(count) if row.pings else _NONE for count in pinged),
        str(row.static) if row.static else _NONE,
        _money(row.revenue),
        _whole(row.p50_ms),
        _whole(row.p99_ms),
    )


def _show_trace(console: Console, record: Record) -> None:
    cdr, trace = record["cdr"], record["trace"]
    table = _table("One decision in full", "offer", "outcome", "code", "bid", "rank", "ms", texts=2)
    table.add_column("detail", overflow="fold")
    for entry in sorted(trace["offers"], key=_by_fate):
        table.add_row(*_entry_cells(entry))
    console.print(table)
    caller = mask(cdr["caller_id"]) if cdr["caller_id"] else "a withheld caller"
    console.print(
        f"  call {cdr['call_id']} from {caller} "
        f"to {cdr['offer'] or 'nobody'} ({cdr['routed_by'] or 'no route'}) "
        f"at {cdr['price'] or _NONE} {cdr['currency'] or ''}".rstrip(),
        soft_wrap=True,
        markup=False,
    )
    console.print(
        f"  eligible {_milliseconds(trace['eligible_ms'])} ms, "
        f"pings {_milliseconds(trace['ping_ms'])} ms, posts {_milliseconds(trace['post_ms'])} ms, "
        f"in all {_milliseconds(trace['total_ms'])} ms; connected {cdr['connected_duration_s']} s, "
        f"revenue {cdr['revenue']}",
        soft_wrap=True,
        markup=False,
    )


def _by_fate(entry: Mapping[str, Any]) -> tuple[int, int, str]:
    """Ranked offers first, the winner at the top; then by reason."""
    code = -1 if entry["code"] is None else int(entry["code"])
    rank = 10_000 if entry["rank"] is None else int(entry["rank"])
    return (rank if code >= 0 else -1, code, str(entry["offer"]))


def _entry_cells(entry: Mapping[str, Any]) -> tuple[str, ...]:
    detail = entry["detail"] or ""
    note = "routed statically" if entry.get("static") else ""
    return (
        entry["offer"],
        entry["outcome"],
        _text(entry["code"]),
        _text(entry["bid"]),
        _text(entry["rank"]),
        _milliseconds(entry["ms"]),
        "; ".join(part for part in (detail, note) if part),
    )


def _text(value: object) -> str:
    return _NONE if value is None else str(value)


def _milliseconds(value: float | None) -> str:
    return _NONE if value is None else f"{value:.1f}"


def _whole(value: float | None) -> str:
    return _NONE if value is None else f"{value:.0f}"


def _money(amount: Decimal) -> str:
    return f"{amount:.2f}"
