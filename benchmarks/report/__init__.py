"""What a run leaves behind: figures on the terminal, JSON, and one HTML page."""

from benchmarks.report.environment import current_environment
from benchmarks.report.files import RESULTS, ReportFiles, read_report, write_report
from benchmarks.report.model import Cell, Environment, Plot, PlotKind, Report, Series, Table
from benchmarks.report.terminal import make_console, make_notes, show_report

__all__ = [
    "RESULTS",
    "Cell",
    "Environment",
    "Plot",
    "PlotKind",
    "Report",
    "ReportFiles",
    "Series",
    "Table",
    "current_environment",
    "make_console",
    "make_notes",
    "read_report",
    "show_report",
    "write_report",
]
