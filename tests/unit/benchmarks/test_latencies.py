"""Percentiles, samples, seconds and memory: the arithmetic of a load run."""

from itertools import pairwise

import pytest

from benchmarks.load.buckets import Histogram, read_histogram
from benchmarks.load.latencies import LONGEST_US, Latencies
from benchmarks.load.measurement import Memory
from benchmarks.load.memory import growth_mib_per_minute
from benchmarks.load.sampling import Sample, make_timeline

SCRAPE = """\
# TYPE pingpost_overhead_seconds histogram
pingpost_overhead_seconds_bucket{le="0.001"} 10.0
pingpost_overhead_seconds_bucket{le="0.002"} 30.0
pingpost_overhead_seconds_bucket{le="+Inf"} 40.0
pingpost_overhead_seconds_count 40.0
pingpost_overhead_seconds_sum 0.1
pingpost_overhead_seconds_of_another_kind_bucket{le="0.001"} 7.0
"""


def test_percentiles_have_three_significant_digits() -> None:
    times = Latencies(float(microseconds) for microseconds in range(1, 100_001))
    for percent in (50, 90, 99, 99.9):
        assert times.percentile_ms(percent) == pytest.approx(percent, rel=0.001)
    assert times.max_ms == pytest.approx(100, rel=0.001)


def test_times_survive_the_way_between_processes() -> None:
    times = Latencies([1, 20_000, 1_500_000])
    decoded = Latencies.decode(times.encode())
    assert decoded.count == 3
    assert decoded.percentile_ms(50) == times.percentile_ms(50) == pytest.approx(20, rel=0.001)


def test_times_outside_the_range_are_kept_at_its_ends() -> None:
    times = Latencies([-5, 2.0 * LONGEST_US])
    assert times.count == 2
    assert times.max_ms == pytest.approx(LONGEST_US / 1000, rel=0.001)


def test_of_no_times_every_percentile_is_nothing() -> None:
    assert Latencies().percentile_ms(99) == Latencies().max_ms == 0


def test_a_histogram_is_read_from_a_scrape() -> None:
    histogram = read_histogram(SCRAPE, "pingpost_overhead_seconds")
    assert histogram == Histogram((0.001, 0.002, float("inf")), (10, 30, 40), 0.1)
    assert histogram.mean == pytest.approx(0.0025)


def test_percentiles_are_interpolated_within_a_bucket() -> None:
    histogram = read_histogram(SCRAPE, "pingpost_overhead_seconds")
    assert histogram.percentile(50) == pytest.approx(0.0015)
    assert histogram.percentile(99) == 0.002


def test_a_histogram_counts_from_the_scrape_before() -> None:
    now = read_histogram(SCRAPE, "pingpost_overhead_seconds")
    before = Histogram(now.upper, (10, 10, 10), 0.01)
    since = now.since(before)
    assert list(since.counts) == [0, 20, 30]
    assert since.total == pytest.approx(0.09)
    assert now.since(Histogram()) == now


def test_what_a_scrape_does_not_have_is_empty() -> None:
    nothing = read_histogram(SCRAPE, "pingpost_ledger_batch_size")
    assert (nothing.count, nothing.mean, nothing.percentile(50)) == (0, 0, 0)
    assert nothing.shares() == {}


def test_batch_sizes_are_named_by_their_bounds() -> None:
    sizes = Histogram((1, 2, 5, float("inf")), (5, 5, 15, 20), 0)
    assert sizes.shares() == {"1": 0.25, "3 to 5": 0.5, "more than 5": 0.25}


@pytest.mark.parametrize("offered", [3, 10, 19, 20, 1000, 12_345])
def test_a_sample_is_bounded_and_spread_over_all(offered: int) -> None:
    sample = Sample(10)
    for number in range(offered):
        sample.offer(str(number), number)
    kept = [int(call_id) for call_id, _ in sample.kept()]
    assert min(offered, 10) <= len(kept) < 20
    assert len({after - before for before, after in pairwise(kept)}) <= 1
    assert kept[-1] >= offered * 0.9 - 1


def test_without_a_sample_nothing_is_kept() -> None:
    sample = Sample(0)
    sample.offer("1", 1.0)
    assert sample.kept() == ()


def test_seconds_without_an_answer_show_as_empty() -> None:
    timeline = make_timeline([0.1, 0.9, 2.5], [1000, 3000, 7000])
    assert timeline.answered == (2, 0, 1)
    assert timeline.p50_ms == (1.0, 0.0, 7.0)
    assert timeline.p99_ms == (3.0, 0.0, 7.0)


def test_growth_is_that_of_the_steady_part_of_a_run() -> None:
    filling = [Memory(second, second * 2**30) for second in range(12)]
    steady = [Memory(second, 2**30 + second * 2**20) for second in range(12, 61)]
    assert growth_mib_per_minute([*filling, *steady]) == pytest.approx(60)


def test_of_too_few_readings_no_growth_is_told() -> None:
    assert growth_mib_per_minute([]) == 0
    assert growth_mib_per_minute([Memory(0, 1), Memory(9, 2**40)]) == 0
