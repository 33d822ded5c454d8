"""The stopwatch of the small measurements, and that each of them still does its work."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pyperf  # type: ignore[import-untyped]  # it has no types
import pytest

from benchmarks.micro.command import GROUP_NAMES
from benchmarks.micro.suite import GROUPS
from benchmarks.micro.telling import make_report, write_pyperf
from benchmarks.micro.timing import QUICK, Case, Effort, Stopwatch, Timing, time_case
from benchmarks.report.model import Environment

ENVIRONMENT = Environment("abc", "2026-11-21T18:00:00Z", {}, {})


def a_timing(*cpu_s: float, per_loop: int = 1) -> Timing:
    return Timing("ranking.10", "rank 10 bids", 100, per_loop, cpu_s, cpu_s)


def test_a_timing_is_the_median_and_its_spread() -> None:
    timing = a_timing(1e-6, 2e-6, 9e-6)
    assert timing.cpu_us == pytest.approx(2.0)
    assert timing.wall_us == pytest.approx(2.0)
    assert timing.spread == pytest.approx(0.5)


async def test_loops_are_added_until_a_value_is_long_enough() -> None:
    asked: list[int] = []

    async def measure(loops: int, stopwatch: Stopwatch) -> None:
        asked.append(loops)
        stopwatch.wall_s = stopwatch.cpu_s = loops * 0.001

    timing = await time_case(Case("a", "a", measure), Effort(values=3, value_s=0.05))
    assert timing.loops >= 50
    assert asked[0] == 1
    assert all(after <= before * 10 for before, after in pairwise(asked))
    assert asked[-3:] == [timing.loops] * 3
    assert timing.cpu_us == pytest.approx(1000.0)


async def test_time_is_per_operation_where_a_loop_does_several() -> None:
    async def measure(loops: int, stopwatch: Stopwatch) -> None:
        stopwatch.wall_s = stopwatch.cpu_s = loops * 1.0

    timing = await time_case(Case("a", "a", measure, per_loop=200), QUICK)
    assert timing.cpu_us == pytest.approx(5000.0)


async def test_what_is_prepared_outside_is_not_counted() -> None:
    stopwatch = Stopwatch()
    with stopwatch.running():
        pass
    counted = stopwatch.wall_s
    sum(range(100_000))
    assert stopwatch.wall_s == counted
    with stopwatch.running():
        await asyncio.sleep(0)
    assert stopwatch.wall_s > counted


def test_every_group_can_be_chosen() -> None:
    assert tuple(GROUPS) == GROUP_NAMES


@pytest.mark.parametrize("group", ["parsing", "eligibility", "template", "mapping", "ranking"])
async def test_every_pure_case_does_its_work(group: str, tmp_path: Path) -> None:
    async with GROUPS[group](tmp_path) as cases:
        assert len({case.name for case in cases}) == len(cases)
        for case in cases:
            assert case.name.startswith(f"{group}.")
            stopwatch = Stopwatch()
            await case.measure(2, stopwatch)
            assert stopwatch.wall_s > 0


def test_the_report_and_the_file_for_pyperf_tell_the_same(tmp_path: Path) -> None:
    timings = {"ranking": [a_timing(1e-6, 2e-6, 9e-6)]}
    report = make_report(timings, QUICK, ENVIRONMENT, 1.0)
    assert report.figures == {"ranking.10.cpu_us": pytest.approx(2.0)}
    file = tmp_path / "folder" / "micro.json"
    write_pyperf(timings, file)
    (benchmark,) = pyperf.BenchmarkSuite.load(str(file)).get_benchmarks()
    assert benchmark.get_name() == "ranking.10"
    assert benchmark.median() == pytest.approx(2e-6)
