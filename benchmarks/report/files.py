"""A report as files: JSON that loads back, and one HTML page that needs nothing else."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.report.model import Cell, Environment, Plot, PlotKind, Report, Series, Table

FORMAT = 1
"""The shape of the JSON; it rises when a reader of older files would go wrong."""

RESULTS = Path("bench-results")
"""Where reports go unless told otherwise."""


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """Where a report was written."""

    json: Path
    html: Path


def write_report(report: Report, directory: Path) -> ReportFiles:
    """Write both files under a name that tells command and start, replacing nothing.

    Raises BenchmarkError when the folder can't be written.
    """
    from benchmarks.report.page import render_page  # noqa: PLC0415 - plots take a second to import

    try:
        directory.mkdir(parents=True, exist_ok=True)
        files = _free_names(report, directory)
        text = json.dumps(report_as_json(report), indent=1, ensure_ascii=False, allow_nan=False)
        files.json.write_text(text + "\n", encoding="utf-8")
        files.html.write_text(render_page(report), encoding="utf-8")
    except OSError as error:
        message = f"the report can't be written to {directory}: {error.strerror}"
        raise BenchmarkError(message) from error
    return files


def read_report(file: Path) -> Report:
    """The report of a JSON file. Raises BenchmarkError when it is none."""
    try:
        return report_from_json(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{file} is no report of this version: {error}"
        raise BenchmarkError(message) from error


def report_as_json(report: Report) -> dict[str, Any]:
    """The report as plain data."""
    return {"format": FORMAT, **asdict(report, dict_factory=_plain)}


def report_from_json(data: Mapping[str, Any]) -> Report:
    """What ``report_as_json`` was made of. Raises KeyError, TypeError or ValueError."""
    if data["format"] != FORMAT:
        message = f"format {data['format']} instead of {FORMAT}"
        raise ValueError(message)
    return Report(
        command=data["command"],
        settings=data["settings"],
        environment=Environment(**data["environment"]),
        figures=data["figures"],
        tables=tuple(_table(each) for each in data["tables"]),
        plots=tuple(_plot(each) for each in data["plots"]),
        notes=tuple(data["notes"]),
    )


def _free_names(report: Report, directory: Path) -> ReportFiles:
    for stem in _stems(report):
        files = ReportFiles(directory / f"{stem}.json", directory / f"{stem}.html")
        if not files.json.exists() and not files.html.exists():
            return files
    raise AssertionError("stems never end")


def _stems(report: Report) -> Iterator[str]:
    moment = report.environment.started_at.replace(":", "").replace("-", "")
    stem = f"{report.command}-{moment}"
    yield stem
    number = 1
    while True:
        number += 1
        yield f"{stem}-{number}"


def _plain(items: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value.value if isinstance(value, Enum) else value for name, value in items}


def _table(data: Mapping[str, Any]) -> Table:
    rows: tuple[tuple[Cell, ...], ...] = tuple(tuple(row) for row in data["rows"])
    return Table(data["title"], tuple(data["columns"]), rows)


def _plot(data: Mapping[str, Any]) -> Plot:
    series = tuple(
        Series(each["name"], tuple(each["x"]), tuple(each["y"])) for each in data["series"]
    )
    return Plot(**{**data, "series": series, "kind": PlotKind(data["kind"])})
