"""One run of the comparison, from its progress to its report."""

import time
from pathlib import Path

from rich.console import Console

from benchmarks.peers.rounds import PeersOptions, Race, run_peers
from benchmarks.peers.telling import make_report
from benchmarks.progress import step_bar
from benchmarks.report import (
    current_environment,
    make_console,
    make_notes,
    show_report,
    write_report,
)
from benchmarks.running import run_to_end


def compare(options: PeersOptions, output: Path) -> None:
    """Run all races, then show and write the report. Raises BenchmarkError."""
    environment, began = current_environment(), time.monotonic()
    races = run_to_end(_run(options, make_notes()))
    report = make_report(options, races, environment, time.monotonic() - began)
    show_report(make_console(), report, write_report(report, output))


async def _run(options: PeersOptions, notes: Console) -> list[Race]:
    with step_bar(notes, options.turns) as steps:
        return await run_peers(options, steps)
