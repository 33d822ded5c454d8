"""A scale run from start to end: points, report."""

from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.report import (
    current_environment,
    make_console,
    make_notes,
    show_report,
    write_report,
)
from benchmarks.running import run_to_end
from benchmarks.scale.measuring import measure_points
from benchmarks.scale.points import ScaleOptions
from benchmarks.scale.report import make_scale_report
from benchmarks.stack.stack import StackOptions


def scale(options: ScaleOptions, base: StackOptions, output: Path) -> None:
    """Run, show and write the report.

    Raises BenchmarkError when a point failed, after the report on the others is written.
    """
    environment = current_environment()
    measured = run_to_end(measure_points(options, base, make_notes()))
    report = make_scale_report(measured, options, base, environment)
    show_report(make_console(), report, write_report(report, output))
    failed = [each.point.title for each in measured if each.fault]
    if failed:
        message = f"no figure for {'; '.join(failed)}: the notes say why"
        raise BenchmarkError(message)
