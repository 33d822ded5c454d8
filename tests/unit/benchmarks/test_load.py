"""The parts of a load run, and how a command's options ask for them."""

import asyncio
import io
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

import benchmarks.load.session
from benchmarks.errors import BenchmarkError
from benchmarks.group import main
from benchmarks.load.latencies import Latencies
from benchmarks.load.measurement import Measurement
from benchmarks.load.options import LoadOptions
from benchmarks.load.parts import Failed, Found, play_load
from benchmarks.load.plan import LoadPlan
from benchmarks.load.report import make_load_report
from benchmarks.report import Environment, read_report
from benchmarks.stack.stack import StackOptions
from tests.unit.benchmarks.measurements import a_measurement

CAPACITY = 500
PLACE = Environment("c", "2026-11-21T18:00:30Z", {"cores": 2}, {})


class MadeUpBench:
    """A service that is quick up to its capacity and slow beyond it."""

    def __init__(self) -> None:
        self.notes = Console(file=io.StringIO())
        self.played: list[LoadPlan] = []

    def plan(self, run: str, duration_s: float) -> LoadPlan:
        return LoadPlan(1, "t", run, duration_s)

    async def warm_up(self, plan: LoadPlan, title: str = "") -> None:
        self.played.append(plan)

    async def measure(self, plan: LoadPlan, title: str) -> Measurement:
        self.played.append(plan)
        slow = (plan.rate or 0) > CAPACITY
        latency = Latencies([90_000.0 if slow else 50_000.0] * 100)
        outcomes = {"auction": 995, "http_503": 5} if slow else None
        return replace(a_measurement(outcomes=outcomes), plan=plan, latency=latency)


def play(options: LoadOptions) -> tuple[MadeUpBench, Found]:
    bench = MadeUpBench()
    return bench, asyncio.run(play_load(bench, options))  # type: ignore[arg-type]  # a stand-in


def test_every_part_is_played_after_a_warm_up_under_a_name_of_its_own() -> None:
    options = LoadOptions(in_flight=(16, 64), rates=(300.0,), ramp=False, events=True)
    bench, found = play(options)
    assert [part.name for part in found.parts] == ["in_flight_16", "in_flight_64", "rate_300"]
    assert [plan.run for plan in bench.played] == ["warm-up", *(each.name for each in found.parts)]
    assert [plan.in_flight for plan in bench.played] == [64, 16, 64, None]
    assert all(plan.events for plan in bench.played[1:])
    assert found.ramp is None


def test_a_ramp_finds_the_highest_rate_that_holds() -> None:
    bench, found = play(LoadOptions(in_flight=(), rates=()))
    assert found.ramp is not None
    assert found.ramp.held is not None
    assert CAPACITY / 1.05 <= found.ramp.held <= CAPACITY
    assert [step.holds for step in found.ramp.steps] == [
        step.rate <= CAPACITY for step in found.ramp.steps
    ]
    assert len({plan.run for plan in bench.played}) == len(bench.played)


def test_after_a_rate_that_does_not_hold_the_service_may_settle() -> None:
    bench, found = play(LoadOptions(in_flight=(), rates=()))
    assert found.ramp is not None
    failed = sum(not step.holds for step in found.ramp.steps)
    assert failed
    assert sum(plan.run.startswith("settle") for plan in bench.played) == failed


def test_a_part_whose_calls_were_not_auctioned_has_no_figures_and_does_not_keep_the_others() -> (
    None
):
    bench, found = play(LoadOptions(in_flight=(8,), rates=(CAPACITY + 1.0, 300.0), ramp=False))
    assert [part.name for part in found.parts] == ["in_flight_8", "rate_300"]
    assert [failed.title for failed in found.failed] == ["501 calls/s"]
    assert "http_503 5" in found.failed[0].fault
    assert [plan.run for plan in bench.played][3] == "settle after 501 calls/s"
    report = make_load_report(found, StackOptions(), LoadOptions(), PLACE)
    assert not any(name.startswith("rate_501") for name in report.figures)
    assert any(note.startswith("501 calls/s: FAILED: ") for note in report.notes)


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        ([], ((64,), (300.0,), True)),
        (["--ramp"], ((), (), True)),
        (["--rate", "5", "--rate", "9"], ((), (5.0, 9.0), False)),
        (["--in-flight", "8"], ((8,), (), False)),
    ],
)
def test_without_a_choice_everything_is_measured(
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    asked: tuple[tuple[int, ...], tuple[float, ...], bool],
) -> None:
    given: list[LoadOptions] = []

    def load(options: LoadOptions, stack: StackOptions, output: Path, profile: Path | None) -> None:
        given.append(options)

    monkeypatch.setattr(benchmarks.load.session, "load", load)
    result = CliRunner().invoke(main, ["load", *arguments])
    assert result.exit_code == 0, result.output
    assert [(each.in_flight, each.rates, each.ramp) for each in given] == [asked]


def test_a_run_with_a_part_missing_is_reported_and_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = Found((), None, (Failed("300 calls/s", "of 900 calls 12 were"),))

    def run_to_end(main: Coroutine[object, object, Found]) -> Found:
        main.close()
        return found

    monkeypatch.setattr(benchmarks.load.session, "run_to_end", run_to_end)
    with pytest.raises(BenchmarkError, match="no figures for 300 calls/s"):
        benchmarks.load.session.load(LoadOptions(), StackOptions(), tmp_path)
    (file,) = tmp_path.glob("*.json")
    assert "300 calls/s: FAILED: of 900 calls 12 were" in read_report(file).notes


def test_a_profile_of_several_workers_is_refused() -> None:
    result = CliRunner().invoke(main, ["load", "--profile", "--workers", "2"])
    assert result.exit_code == 2
    assert "one worker only" in result.output
