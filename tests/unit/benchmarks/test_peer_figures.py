"""The comparison's arithmetic: what a turn comes to, medians, ratios, and what is told of them."""

from typing import Any

import pytest

from benchmarks.load.latencies import Latencies
from benchmarks.load.plan import LoadResult
from benchmarks.peers.comparator import Contestant, Skipped
from benchmarks.peers.figures import Ratio, ratio, standings
from benchmarks.peers.rounds import PeersOptions, Race, Setting, rotated
from benchmarks.peers.telling import make_report
from benchmarks.peers.turns import Turn, judge_turn
from benchmarks.report.model import Environment
from benchmarks.report.page import render_page

AT_ONCE = Setting(callers=16, delay_ms=0.0)
ENVIRONMENT = Environment("abc", "2026-11-21T18:00:00Z", {}, {})


def a_turn(calls_per_s: float = 100.0, cpu_us: float = 500.0, **changes: Any) -> Turn:
    values = {"calls": 100, "p50_ms": 1.0, "p99_ms": 2.0, "wrong": 0, "not_pinged": 0, **changes}
    return Turn(calls_per_s=calls_per_s, cpu_us=cpu_us, **values)


def a_result(seconds: float = 2.0, **outcomes: int) -> LoadResult:
    nothing = Latencies().encode()
    latency = Latencies([1000.0, 2000.0, 3000.0]).encode()
    return LoadResult(outcomes, {}, latency, nothing, nothing, seconds, 1)


def a_race(**turns: list[Turn]) -> Race:
    named = {name.replace("_", "-"): each for name, each in turns.items()}
    return Race(AT_ONCE, {name: name.upper() for name in named}, named)


def test_a_turn_counts_right_answers_only() -> None:
    turn = judge_turn(a_result(auction=40, wrong=8, broken=2), cpu_s=0.02, pings=[50, 50])
    assert (turn.calls, turn.wrong, turn.not_pinged) == (40, 10, 0)
    assert turn.calls_per_s == 20.0
    assert turn.cpu_us == pytest.approx(500.0)
    assert turn.p50_ms == pytest.approx(2.0, rel=0.01)
    assert turn.p99_ms == pytest.approx(3.0, rel=0.01)


def test_whoever_leaves_a_buyer_out_is_found_out() -> None:
    assert judge_turn(a_result(auction=50), cpu_s=0.02, pings=[50, 50, 3]).not_pinged == 47


def test_a_turn_without_a_right_answer_has_no_figures() -> None:
    turn = judge_turn(a_result(wrong=5), cpu_s=0.02, pings=[5])
    assert (turn.calls_per_s, turn.cpu_us, turn.wrong) == (0.0, 0.0, 5)


def test_a_ratio_is_the_median_of_the_rounds_and_above_1_where_ours_is_better() -> None:
    ours = [a_turn(200.0, 250.0), a_turn(100.0, 500.0), a_turn(400.0, 125.0)]
    theirs = [a_turn(100.0, 500.0), a_turn(100.0, 500.0), a_turn(100.0, 500.0)]
    assert ratio(ours, theirs) == Ratio(speed=2.0, cpu=2.0)
    assert ratio(theirs, ours) == Ratio(speed=0.5, cpu=0.5)


def test_without_ours_there_is_no_ratio() -> None:
    assert ratio(None, [a_turn()]) == Ratio(None, None)
    assert standings(a_race(go=[a_turn()]))[0].whole == Ratio(None, None)


def test_a_contestant_that_never_answered_right_has_no_ratio() -> None:
    assert ratio([a_turn()], [a_turn(0.0, 0.0)]) == Ratio(None, 0.0)


def test_standings_are_medians_with_the_fastest_first_and_faults_added_up() -> None:
    slow = [a_turn(10.0, 900.0, wrong=1), a_turn(30.0, 700.0, not_pinged=2), a_turn(20.0, 800.0)]
    found = standings(a_race(go=slow, ours_bare=[a_turn(), a_turn(), a_turn()]))
    assert [each.name for each in found] == ["ours-bare", "go"]
    go = found[1]
    assert (go.calls_per_s, go.cpu_us, go.wrong, go.not_pinged) == (20.0, 800.0, 1, 2)
    assert go.bare == Ratio(speed=5.0, cpu=800.0 / 500.0)


def test_each_contestant_comes_first_in_turn() -> None:
    three = [Contestant(name, name, 1, 1) for name in ("a", "b", "c")]
    orders = ["".join(each.name for each in rotated(three, number)) for number in range(4)]
    assert orders == ["abc", "bca", "cab", "abc"]
    assert rotated([], 1) == []


def test_the_report_names_who_was_skipped_and_why() -> None:
    race = Race(AT_ONCE, {}, {}, (Skipped("go", "Go standard library", "go is not installed"),))
    report = make_report(PeersOptions([]), [race], ENVIRONMENT, 1.0)
    (table,) = report.tables
    assert table.rows == (("Go standard library", "go is not installed"),)
    assert "go is not installed" in render_page(report)


def test_a_contestant_that_never_answered_right_is_in_the_table_but_on_no_plot() -> None:
    report = make_report(PeersOptions([]), [a_race(go=[a_turn(0.0, 0.0)])], ENVIRONMENT, 1.0)
    assert report.tables[0].rows[0][0] == "go"
    assert report.plots == ()


def test_the_report_has_ratios_to_compare_and_one_row_for_each_contestant() -> None:
    race = a_race(go=[a_turn(100.0)], ours_whole=[a_turn(80.0)], ours_bare=[a_turn(120.0)])
    report = make_report(PeersOptions([]), [race], ENVIRONMENT, 1.0)
    assert report.figures["16_callers.0_ms.go.bare_speed_ratio"] == 1.2
    assert report.figures["16_callers.0_ms.go.whole_speed_ratio"] == 0.8
    (table,) = report.tables
    assert [row[0] for row in table.rows] == ["ours-bare", "go", "ours-whole"]
    assert all(len(row) == len(table.columns) for row in table.rows)
