"""A run whose calls were not auctioned says so; figures are per call and the service's own."""

import re
from dataclasses import replace

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.load.figures import load_figures
from benchmarks.load.options import LoadOptions
from benchmarks.load.parts import Found, Part, Ramp, Step
from benchmarks.load.report import make_load_report
from benchmarks.report import Environment
from benchmarks.stack.stack import StackOptions
from tests.unit.benchmarks.measurements import a_measurement

PLACE = Environment("c", "2026-11-21T18:00:30Z", {"cores": 2}, {})


def test_a_run_as_it_should_be_is_taken() -> None:
    a_measurement(events={"http_200": 2000}).require_auctions()


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"outcomes": {"auction": 990, "http_503": 10}}, "of 1,000 calls 990 were"),
        ({"outcomes": {"static": 1000}}, "static 1,000"),
        ({"overloaded": True}, "broken off"),
        ({"heard": {"pings": 10_000, "posts": 1000, "refused": 3}}, "refused 3 requests"),
        ({"heard": {"pings": 5000, "posts": 1000, "refused": 0}}, "5,000 pings instead of 10,000"),
        ({"heard": {"pings": 10_000, "posts": 0, "refused": 0}}, "0 posts instead of 1,000"),
        ({"events": {"http_200": 5, "http_409": 1}}, "events were not taken"),
    ],
)
def test_a_run_that_is_not_as_it_should_be_is_refused(
    fault: dict[str, dict[str, int]], told: str
) -> None:
    with pytest.raises(BenchmarkError, match=re.escape(told)):
        a_measurement(**fault).require_auctions()  # type: ignore[arg-type]  # one fault at a time


def test_a_refusal_shows_an_answer() -> None:
    with pytest.raises(BenchmarkError, match="for example http_503: try again"):
        a_measurement(outcomes={"http_503": 1000}).require_auctions()


def test_figures_are_per_call_and_overhead_is_without_the_buyers_time() -> None:
    figures = load_figures(Found((Part("rate_100", "100 calls/s", a_measurement()),), None))
    assert figures["rate_100.calls_per_s"] == 100
    assert figures["rate_100.service_cpu_us_per_call"] == 500
    assert figures["rate_100.service_user_us_per_call"] == 400
    assert figures["rate_100.database_cpu_us_per_call"] == 300
    assert figures["rate_100.decision_p99_ms"] == pytest.approx(60, rel=0.001)
    assert figures["rate_100.overhead_p99_ms"] == pytest.approx(20, rel=0.01)
    assert figures["rate_100.traced_overhead_p99_ms"] == pytest.approx(15, rel=0.001)
    assert figures["rate_100.own_overhead_mean_ms"] == 5
    assert figures["rate_100.ledger_batch_mean"] == 1.5
    assert figures["rate_100.memory_end_mib"] == 100


def test_a_report_on_all_parts_tells_the_highest_rate() -> None:
    parts = (Part("in_flight_64", "64 in flight", a_measurement()),)
    steps = (Step(150.0, a_measurement(), holds=True), Step(240.0, a_measurement(), holds=False))
    report = make_load_report(
        Found(parts, Ramp(steps, 150.0)), StackOptions(), LoadOptions(), PLACE
    )
    assert report.figures["ramp.highest_calls_per_s"] == 150
    assert "The highest rate that held is 150 calls/s." in report.notes
    for table in report.tables:
        assert all(len(row) == len(table.columns) for row in table.rows)


def test_a_run_on_a_busy_machine_is_doubted() -> None:
    busy = replace(a_measurement(late_us=9000), others_cpu=0.3)
    found = Found((Part("rate_100", "100 calls/s", busy),), None)
    notes = make_load_report(found, StackOptions(), LoadOptions(), PLACE).notes
    assert any("30% of it" in note for note in notes)
    assert any("generator itself was late" in note for note in notes)
