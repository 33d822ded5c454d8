"""One run, from filling the tables to its report."""

import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.progress import Steps, step_bar
from benchmarks.report import (
    Environment,
    Report,
    Table,
    current_environment,
    make_console,
    make_notes,
    show_report,
    write_report,
)
from benchmarks.reports.filling import Extent, add_up_days, fill_day, fill_places
from benchmarks.reports.folding import CALLS, time_folding
from benchmarks.reports.questions import cases, timed
from benchmarks.running import run_to_end
from benchmarks.stack import running_database
from storage.database import Database
from storage.migrate import migrate

_NOTES = (
    "Each report is read and rendered as JSON, without HTTP: medians, after a first reading.",
    "Figures are made up as so many calls leave them behind; the calls themselves are not there.",
    "Folding: CPU is that of this process; PostgreSQL works in processes of its own.",
)


def measure(extent: Extent, rounds: int, output: Path) -> None:
    """Fill, read, show and write the report. Raises BenchmarkError."""
    environment, began = current_environment(), time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="pingpost-reports-", ignore_cleanup_errors=True) as name,
        step_bar(make_notes(), extent.days + 14) as steps,
    ):
        found = run_to_end(_measure(extent, rounds, Path(name), steps))
    report = _report(extent, found, environment, time.monotonic() - began)
    show_report(make_console(), report, write_report(report, output))


class Found:
    """What was measured."""

    def __init__(self) -> None:
        self.readings: list[tuple[str, int, float, float]] = []
        self.day_s = 0.0
        self.size_mb = 0.0
        self.folding: dict[str, float] = {}


async def _measure(extent: Extent, rounds: int, folder: Path, steps: Steps) -> Found:
    found = Found()
    async with running_database(folder) as server:
        await migrate(server.dsn)
        database = await Database.connect(server.dsn, command_timeout_s=60)
        try:
            await _fill(database, extent, found, steps)
            for case in cases(database, extent):
                steps.tell(case.title)
                rows, seconds = await timed(case, rounds)
                found.readings.append((case.title, rows, statistics.median(seconds), max(seconds)))
                steps.over()
            steps.tell("folding")
            found.folding = await time_folding(database)
            steps.over()
        finally:
            await database.close()
    return found


async def _fill(database: Database, extent: Extent, found: Found, steps: Steps) -> None:
    await fill_places(database, extent)
    for day in range(extent.days):
        steps.tell(f"figures of day {day + 1} of {extent.days}")
        await fill_day(database, extent, day)
        steps.over()
    steps.tell("adding up days")
    began = time.perf_counter()
    days = await add_up_days(database)
    found.day_s = (time.perf_counter() - began) / max(1, days)
    async with database.connection() as connection:
        size = await connection.fetchval(
            "select sum(pg_total_relation_size(relid)) from pg_partition_tree('report_figures')"
        )
    found.size_mb = float(size) / 1e6
    steps.over()


def _report(extent: Extent, found: Found, environment: Environment, seconds: float) -> Report:
    rows = tuple(
        (title, count, round(median * 1000, 1), round(worst * 1000, 1))
        for title, count, median, worst in found.readings
    )
    folding = tuple((name, round(value, 1)) for name, value in found.folding.items())
    return Report(
        command="reports",
        settings={
            "calls": extent.calls,
            "days": extent.days,
            "offers": extent.offers,
            "sources": extent.sources,
            "quarters": extent.rows,
            "size_mb": round(found.size_mb),
            "day_added_up_s": round(found.day_s, 2),
            "took_s": round(seconds, 1),
        },
        environment=environment,
        figures={
            **{f"{title}.ms": median for title, _, median, _ in rows},
            **{f"fold.{name}": value for name, value in folding},
        },
        tables=(
            Table("reports", ("what", "rows", "median ms", "worst ms"), rows),
            Table(f"folding, {CALLS} calls of 10 pings, per call", ("what", "µs"), folding),
        ),
        notes=_NOTES,
    )
