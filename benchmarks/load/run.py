"""One run of the load generator."""

import asyncio
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from typing import Final

from benchmarks.load.callers import CallBodies, answered_body, call_id_of, ended_body
from benchmarks.load.connections import BROKEN, Sender
from benchmarks.load.latencies import Latencies
from benchmarks.load.plan import AUCTIONED, UNANSWERED, WRONG, LoadPlan, LoadResult
from benchmarks.load.sampling import Sample, make_timeline
from benchmarks.load.schedule import Schedule

TICK_S: Final = 0.001
"""How often what is due is looked for; uvloop's timers are no finer."""

_OK: Final = 200
_LONGEST_EXAMPLE: Final = 600
_OUTCOMES: Final = (
    (b'"routed_by":"auction"', AUCTIONED),
    (b'"routed_by":"static"', "static"),
    (b'"action":"no_route"', "no_route"),
)


class LoadRun:
    """Sends the calls of a plan, and what becomes of them when events are wanted."""

    def __init__(
        self,
        plan: LoadPlan,
        connections: Sender,
        first_caller: int = 0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Callers are numbered from ``first_caller``; no other run may have had them.

        ``clock`` is in seconds; uvloop's own counts in milliseconds.
        """
        self._plan = plan
        self._clock = clock
        self._connections = connections
        self._schedule = Schedule(plan.rate, plan.duration_s) if plan.rate else None
        self._bodies = CallBodies(plan.run, plan.timeout_ms, first_caller)
        self._call_head = _head(plan.path, plan.token)
        self._event_head = _head("/v1/calls/events", plan.token)
        self._expected = tuple(piece.encode() for piece in plan.expected)
        self._outcomes: Counter[str] = Counter()
        self._events: Counter[str] = Counter()
        self._latency_us, self._done_s, self._late_us = array("d"), array("d"), array("d")
        self._event_us = array("d")
        self._lives: deque[tuple[float, str, bool]] = deque()
        self._sample = Sample(plan.sample)
        self._example: str | None = None
        self._sent = self._in_flight = self._peak = self._events_out = 0
        self._overloaded = False
        self._finished = asyncio.Event()

    @property
    def sent(self) -> int:
        """How many calls have been sent so far."""
        return self._sent

    @property
    def elapsed_s(self) -> float:
        """How long the run lasts so far; below 0 before its beginning."""
        return self._clock() - self._began

    async def play(self) -> LoadResult:
        """Run to the end: all answered, or out of patience."""
        self._began = self._clock()
        for _ in range(self._plan.in_flight or 0):
            self._send_call(self.elapsed_s)
        self._tick()
        await self._finished.wait()
        return self._result()

    def _tick(self) -> None:
        now = self.elapsed_s
        if self._schedule is not None:
            self._send_due(self._schedule, now)
        self._play_lives(now)
        if self._is_over(now):
            self._finished.set()
        else:
            asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _send_due(self, schedule: Schedule, now: float) -> None:
        due = schedule.due(now)
        while self._sent < due and not self._overloaded:
            self._send_call(schedule.intended_s(self._sent))

    def _is_over(self, now: float) -> bool:
        plan = self._plan
        if self._overloaded or now > plan.duration_s + plan.patience_s:
            return True
        all_sent = now >= plan.duration_s
        return all_sent and not self._in_flight and not self._lives and not self._events_out

    def _send_call(self, intended_s: float) -> None:
        number = self._sent
        self._sent += 1
        self._in_flight += 1
        self._peak = max(self._peak, self._in_flight)
        self._overloaded = self._in_flight > self._plan.most_unanswered
        request = _request(self._call_head, self._bodies.body(number))
        self._late_us.append((self.elapsed_s - intended_s) * 1e6)
        self._connections.send(request, partial(self._decided, number, intended_s))

    def _decided(self, number: int, intended_s: float, status: int, body: bytes) -> None:
        if self._finished.is_set():
            return
        now = self.elapsed_s
        self._in_flight -= 1
        latency_us = (now - intended_s) * 1e6
        self._latency_us.append(latency_us)
        self._done_s.append(now)
        outcome = _outcome(status, body)
        if outcome == AUCTIONED and not all(piece in body for piece in self._expected):
            outcome = WRONG
        self._outcomes[outcome] += 1
        if outcome == AUCTIONED:
            self._follow(number, now, latency_us)
        elif self._example is None:
            self._example = f"{outcome}: {body[:_LONGEST_EXAMPLE].decode(errors='replace')}"
        if self._plan.in_flight is not None and now < self._plan.duration_s:
            self._send_call(now)

    def _follow(self, number: int, now: float, latency_us: float) -> None:
        call_id = call_id_of(self._plan.run, number)
        self._sample.offer(call_id, latency_us / 1000)
        if self._plan.events:
            self._lives.append((now + self._plan.answered_after_s, call_id, False))

    def _play_lives(self, now: float) -> None:
        while self._lives and self._lives[0][0] <= now:
            _, call_id, answered = self._lives.popleft()
            make: Callable[[str], bytes] = ended_body if answered else answered_body
            self._events_out += 1
            request = _request(self._event_head, make(call_id))
            reported = partial(self._reported, call_id, self.elapsed_s, answered)
            self._connections.send(request, reported)

    def _reported(self, call_id: str, sent_s: float, ended: bool, status: int, _: bytes) -> None:  # noqa: FBT001 - bound by partial
        now = self.elapsed_s
        self._events_out -= 1
        self._event_us.append((now - sent_s) * 1e6)
        self._events[f"http_{status}" if status else "broken"] += 1
        if not ended:
            self._lives.append((now + self._plan.answered_after_s, call_id, True))

    def _result(self) -> LoadResult:
        if self._in_flight:
            self._outcomes[UNANSWERED] = self._in_flight
        return LoadResult(
            outcomes=dict(self._outcomes),
            events=dict(self._events),
            latency=Latencies(self._latency_us).encode(),
            lateness=Latencies(self._late_us).encode(),
            event_latency=Latencies(self._event_us).encode(),
            seconds=max(self._done_s, default=self.elapsed_s),
            peak_in_flight=self._peak,
            example=self._example,
            overloaded=self._overloaded,
            sampled=self._sample.kept(),
            timeline=make_timeline(self._done_s, self._latency_us),
        )


def _outcome(status: int, body: bytes) -> str:
    if status == BROKEN:
        return "broken"
    if status != _OK:
        return f"http_{status}"
    return next((name for mark, name in _OUTCOMES if mark in body), "unreadable")


def _head(path: str, token: str) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\nContent-Length: "
    ).encode()


def _request(head: bytes, body: bytes) -> bytes:
    return b"%s%d\r\n\r\n%s" % (head, len(body), body)
