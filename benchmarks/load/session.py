"""A load run from start to end: processes, parts, report."""

from pathlib import Path

from rich.console import Console

from benchmarks.errors import BenchmarkError
from benchmarks.load.bench import running_bench
from benchmarks.load.options import LoadOptions
from benchmarks.load.parts import Found, play_load
from benchmarks.load.profile import profile_table
from benchmarks.load.report import make_load_report
from benchmarks.report import (
    current_environment,
    make_console,
    make_notes,
    show_report,
    write_report,
)
from benchmarks.running import run_to_end
from benchmarks.stack.stack import StackOptions


def load(
    options: LoadOptions, stack: StackOptions, output: Path, profile: Path | None = None
) -> None:
    """Run, show and write the report; with ``profile`` the service leaves its profile there.

    Raises BenchmarkError when there is no result, and when parts of it are missing, after the
    report on the others is written.
    """
    environment = current_environment()
    output.mkdir(parents=True, exist_ok=True)
    found = run_to_end(_play(options, stack, make_notes()))
    profiled = None if profile is None else profile_table(profile)
    report = make_load_report(found, stack, options, environment, profiled)
    files = write_report(report, output)
    show_report(make_console(), report, files)
    if found.failed:
        titles = ", ".join(each.title for each in found.failed)
        message = f"calls were not auctioned as expected, no figures for {titles}: see the notes"
        raise BenchmarkError(message)


async def _play(options: LoadOptions, stack: StackOptions, notes: Console) -> Found:
    async with running_bench(stack, notes) as bench:
        return await play_load(bench, options)
