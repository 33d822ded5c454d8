"""A constant rate, on schedule whatever happens, and times that count from it."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.load.connections import Answered
from benchmarks.load.latencies import Latencies
from benchmarks.load.plan import LoadPlan, LoadResult
from benchmarks.load.run import LoadRun
from benchmarks.load.schedule import Schedule
from tests.virtual_time import run_virtually

PLAN = LoadPlan(port=1, token="t", run="r", duration_s=3.0)
AUCTION = b'{"routed_by":"auction"}'


def test_a_schedule_has_rate_times_duration_calls() -> None:
    assert Schedule(300, 10).count == 3000
    assert Schedule(0.1, 1).count == 1


@given(st.floats(0.1, 50_000), st.integers(0, 50_000))
def test_a_call_is_due_at_its_time_and_not_before(rate: float, number: int) -> None:
    schedule = Schedule(rate, 1e9)
    at = schedule.intended_s(number)
    assert schedule.due(at) == number + 1
    if number:
        assert schedule.due(at * (1 - 1e-9)) == number


def test_nothing_is_due_before_the_beginning_and_nothing_beyond_the_end() -> None:
    assert Schedule(10, 2).due(-0.1) == 0
    assert Schedule(10, 2).due(60) == 20


class Service:
    """Answers after 10 ms, but nothing while it stalls."""

    def __init__(self, stall: tuple[float, float] = (0.0, 0.0), status: int = 200) -> None:
        self.requests: list[bytes] = []
        self._stall = stall
        self._status = status

    def send(self, request: bytes, answered: Answered) -> None:
        self.requests.append(request)
        loop = asyncio.get_running_loop()
        begin, end = self._stall
        at = loop.time() + 0.01
        body = AUCTION if b"/v1/calls HTTP" in request else b"{}"
        loop.call_at(end if begin <= at < end else at, answered, self._status, body)


class Deaf:
    """Never answers."""

    def send(self, request: bytes, answered: Answered) -> None:
        pass


def play(plan: LoadPlan, service: Service | Deaf) -> LoadResult:
    async def main() -> LoadResult:
        clock: Callable[[], float] = asyncio.get_running_loop().time
        return await LoadRun(plan, service, clock=clock).play()

    return run_virtually(main())


def test_a_stall_shows_in_every_call_that_was_due_in_it() -> None:
    result = play(replace(PLAN, rate=100.0), Service(stall=(1.0, 2.0)))
    times = Latencies.decode(result.latency)
    assert result.outcomes == {"auction": 300}
    assert times.percentile_ms(50) == pytest.approx(11, abs=1.5)
    assert times.percentile_ms(80) == pytest.approx(400, rel=0.05)
    assert times.max_ms == pytest.approx(1010, rel=0.01)


def test_a_generator_that_stood_still_counts_from_the_schedule_all_the_same() -> None:
    service, stood_still_s = Service(), 0.5

    async def main() -> LoadResult:
        loop = asyncio.get_running_loop()

        def clock() -> float:
            return loop.time() + (stood_still_s if len(service.requests) > 100 else 0.0)

        return await LoadRun(replace(PLAN, rate=100.0), service, clock=clock).play()

    result = run_virtually(main())
    assert result.outcomes == {"auction": 300}
    assert Latencies.decode(result.latency).max_ms == pytest.approx(510, rel=0.03)
    assert Latencies.decode(result.lateness).max_ms == pytest.approx(500, rel=0.03)


def test_calls_in_flight_are_followed_by_others_until_the_time_is_over() -> None:
    result = play(replace(PLAN, in_flight=5), Service())
    assert result.calls == pytest.approx(5 * 3.0 / 0.01, rel=0.01)
    assert result.peak_in_flight == 5
    assert result.timeline.answered[1:2] == pytest.approx([500], rel=0.01)


def test_events_follow_every_routed_call() -> None:
    service = Service()
    result = play(replace(PLAN, rate=10.0, events=True), service)
    assert result.events == {"http_200": 60}
    assert sum(b'"type":"answered"' in request for request in service.requests) == 30
    assert sum(b'"type":"ended"' in request for request in service.requests) == 30


def test_a_run_ends_when_its_patience_does() -> None:
    result = play(replace(PLAN, rate=10.0), Deaf())
    assert result.outcomes == {"unanswered": 30}
    assert not result.overloaded


def test_a_run_with_too_many_calls_unanswered_is_broken_off() -> None:
    result = play(replace(PLAN, rate=1000.0, most_unanswered=50), Deaf())
    assert result.overloaded
    assert result.calls == 51


def test_what_a_refusal_says_is_kept_as_an_example() -> None:
    result = play(replace(PLAN, rate=10.0), Service(status=503))
    assert result.outcomes == {"http_503": 30}
    assert result.example is not None
    assert "routed_by" in result.example
