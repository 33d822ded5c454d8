"""One run of the small measurements, from its progress to its report."""

import gc
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop
from rich.console import Console

from benchmarks.micro.suite import time_groups
from benchmarks.micro.telling import make_report, write_pyperf
from benchmarks.micro.timing import Effort, Timing
from benchmarks.progress import step_bar
from benchmarks.report import (
    current_environment,
    make_console,
    make_notes,
    show_report,
    write_report,
)
from benchmarks.running import run_to_end


def measure(groups: Sequence[str], effort: Effort, output: Path, pyperf: Path | None) -> None:
    """Time these groups, then show and write the report. Raises BenchmarkError."""
    environment, began = current_environment(), time.monotonic()
    timings = _measure(groups, effort, make_notes())
    report = make_report(timings, effort, environment, time.monotonic() - began)
    files = write_report(report, output)
    if pyperf is not None:
        write_pyperf(timings, pyperf)
    show_report(make_console(), report, files)


def _measure(groups: Sequence[str], effort: Effort, notes: Console) -> dict[str, list[Timing]]:
    # As in the service: what is there at the start is not looked through again and again.
    gc.freeze()
    with (
        tempfile.TemporaryDirectory(prefix="pingpost-micro-", ignore_cleanup_errors=True) as name,
        step_bar(notes, len(groups)) as steps,
    ):
        timing = time_groups(groups, Path(name), effort, steps)
        return run_to_end(timing, uvloop.new_event_loop)
