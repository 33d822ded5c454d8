"""A report as JSON that loads back and as a page that needs nothing else."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.report import (
    Environment,
    Plot,
    PlotKind,
    Report,
    Series,
    Table,
    current_environment,
    read_report,
    write_report,
)
from benchmarks.report.cells import cell_text
from benchmarks.report.environment import UNKNOWN, current_commit

PLACE = Environment(
    "0123456789ab", "2026-11-21T18:00:30Z", {"cores": 2, "memory_gib": 7.7}, {"python": "3.11.7"}
)
REPORT = Report(
    command="load",
    settings={"rate": 300.0, "transport": None, "tls": False},
    environment=PLACE,
    figures={"rate_300.calls_per_s": 299.8},
    tables=(Table("Decision time", ("ms", "p50"), (("64 <in> flight", 41.5), ("none", None))),),
    plots=(
        Plot(
            "Decision time",
            "one in",
            "ms",
            (Series("a", (1.0, 10.0), (40.0, 60.0)), Series("b", (1.0, 10.0), (41.0, 90.0))),
            log_x=True,
            log_y=True,
        ),
        Plot("CPU", "", "µs", (Series("service", ("a", "b"), (450.0, 600.0)),), PlotKind.BAR),
    ),
    notes=("Beware of <script>",),
)


def test_a_report_loads_back_from_its_json(tmp_path: Path) -> None:
    assert read_report(write_report(REPORT, tmp_path).json) == REPORT


def test_a_page_refers_to_nothing_outside_itself(tmp_path: Path) -> None:
    page = write_report(REPORT, tmp_path).html.read_text(encoding="utf-8")
    assert set(re.findall(r"[a-z]+://[^\"'\s<)]+", page)) == {"http://www.w3.org/2000/svg"}
    assert re.findall(r"\b(?:src|href)=\"(?!#)", page) == []
    assert re.findall(r"url\((?!#)", page) == []
    assert "@import" not in page


def test_a_page_shows_every_plot_and_escapes_every_text(tmp_path: Path) -> None:
    page = write_report(REPORT, tmp_path).html.read_text(encoding="utf-8")
    assert page.count("<svg ") == 2
    assert "64 &lt;in&gt; flight" in page
    assert "<script" not in page


def test_plots_of_one_page_have_no_id_in_common(tmp_path: Path) -> None:
    page = write_report(REPORT, tmp_path).html.read_text(encoding="utf-8")
    referred = set(re.findall(r"url\(#(\w+)\)", page)) | set(re.findall(r'href="#(\w+)"', page))
    assert referred
    for name in referred:
        assert page.count(f'id="{name}"') == 1


def test_a_report_replaces_no_other(tmp_path: Path) -> None:
    first, second = write_report(REPORT, tmp_path), write_report(REPORT, tmp_path)
    assert first.json.name == "load-20261121T180030Z.json"
    assert second.json != first.json
    assert len(list(tmp_path.iterdir())) == 4


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BenchmarkError, match="can't be written"):
        write_report(REPORT, tmp_path / "file")


@pytest.mark.parametrize("content", ["", "{}", '{"format": 99}', "[]"])
def test_a_file_that_is_no_report_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "other.json").write_text(content)
    with pytest.raises(BenchmarkError, match="no report"):
        read_report(tmp_path / "other.json")


def test_figures_that_are_no_numbers_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_report(replace(REPORT, figures={"broken": float("nan")}), tmp_path)


def test_a_run_knows_where_it_is_made() -> None:
    place = current_environment()
    assert place.versions["aiohttp"] != UNKNOWN
    assert place.machine["cores"]
    json.dumps(place.machine)


def test_outside_a_checkout_the_commit_is_unknown(tmp_path: Path) -> None:
    assert current_commit(tmp_path) == UNKNOWN


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((None, "–"), (1234567, "1,234,567"), (1234.5, "1,234"), (0.0, "0.00")),
        *((123.46, "123.5"), (0.012345, "0.0123"), (4.0, "4.00"), ("words", "words")),
        (True, "True"),
    ],
)
def test_cells_read_as_people_write_them(value: str | float | None, text: str) -> None:
    assert cell_text(value) == text
