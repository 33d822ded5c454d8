"""Which stacks a scale run compares, and how."""

import pytest
from click.testing import CliRunner

from benchmarks.group import main
from benchmarks.report import Environment
from benchmarks.scale.measuring import Measured
from benchmarks.scale.points import Axis, ScaleOptions, scale_points
from benchmarks.scale.report import make_scale_report
from benchmarks.stack.stack import StackOptions
from tests.unit.benchmarks.measurements import a_measurement

PLACE = Environment("c", "2026-11-21T18:00:30Z", {"cores": 2}, {})
OPTIONS = ScaleOptions(buyers=(1, 10, 50), offers=(10, 1000), workers=(1, 2))

SECONDS = (0.2, 0.65, 2.65, 0.6, 0.6, 0.9, 0.6, 0.6, 1.0, 1.1, 0.6, 0.6)


def test_points_differ_along_one_axis_at_a_time() -> None:
    points = scale_points(OPTIONS, StackOptions())
    assert [point.name for point in points] == [
        *("buyers_1", "buyers_10", "buyers_50"),
        *("offers_10", "offers_1000_campaigns", "offers_1000_filters"),
        *("workers_1", "workers_2"),
        *("services_1", "services_2"),
        *("standbys_0", "standbys_1"),
    ]
    assert [point.stack.buyers for point in points] == [1, 10, 50, *[10] * 9]
    assert [point.stack.service.workers for point in points[6:]] == [1, 2, 1, 1, 1, 1]
    assert [point.stack.services for point in points[6:]] == [1, 1, 1, 2, 1, 1]
    assert [point.stack.standby for point in points[6:]] == [*[False] * 5, True]


def test_much_the_same_number_of_pings_is_in_flight() -> None:
    options = ScaleOptions((Axis.BUYERS,), buyers=(1, 10, 50, 200))
    points = scale_points(options, StackOptions())
    assert [point.in_flight for point in points] == [64, 64, 12, 4]


def test_costs_are_told_against_the_first_of_their_axis() -> None:
    points = scale_points(OPTIONS, StackOptions())
    measured = [
        Measured(point, a_measurement(service_s=seconds))
        for point, seconds in zip(points, SECONDS, strict=True)
    ]
    report = make_scale_report(measured, OPTIONS, StackOptions(), PLACE)
    figures = report.figures
    assert figures["buyers_50.us_per_one_more"] == pytest.approx(50)
    assert figures["buyers_10.us_per_one_more"] == pytest.approx(50)
    assert figures["offers_1000_filters.cpu_ratio"] == 1.5
    assert figures["workers_2.throughput_ratio"] == 1.0
    assert figures["services_2.cpu_ratio"] == pytest.approx(1.1)
    assert figures["standbys_1.database_cpu_us_per_call"] > 0
    assert len(report.tables) == len(report.plots) == 5
    for table in report.tables:
        assert all(len(row) == len(table.columns) for row in table.rows)


def test_points_without_a_figure_are_named() -> None:
    points = scale_points(OPTIONS, StackOptions())
    measured = [
        Measured(points[0], a_measurement()),
        Measured(points[1], None, "calls were not auctioned"),
        Measured(points[7], None, "the service ended; its log:\n...\n...\nonly one worker"),
    ]
    notes = make_scale_report(measured, OPTIONS, StackOptions(), PLACE).notes
    assert "10 buyers: FAILED: calls were not auctioned" in notes
    assert "2 workers: FAILED: the service ended; its log: only one worker" in notes


@pytest.mark.parametrize("numbers", ["", "a", "0", "5,-1", "2000"])
def test_a_list_that_is_none_is_refused(numbers: str) -> None:
    result = CliRunner().invoke(main, ["scale", "--buyers", numbers])
    assert result.exit_code == 2
    assert "--buyers" in result.output


def test_help_teaches_every_command() -> None:
    runner = CliRunner()
    listed = runner.invoke(main, ["--help"])
    assert listed.exit_code == 0
    for name in ("load", "scale"):
        assert name in listed.output
        assert "python -m benchmarks" in runner.invoke(main, [name, "--help"]).output
