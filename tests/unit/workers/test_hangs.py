"""Which workers are taken for hanging."""

import signal
from collections import Counter
from dataclasses import dataclass, field

from auction.workers.hangs import BEAT_S, HangWatch


@dataclass(eq=False)
class FakeWorker:
    number: int
    is_ready: bool = True
    sent: list[signal.Signals] = field(default_factory=list)

    @property
    def place(self) -> int:
        return 10 + self.number

    def send(self, number: signal.Signals) -> None:
        self.sent.append(number)


def looks(watch: HangWatch, seconds: float) -> None:
    for _ in range(int(seconds / BEAT_S)):
        watch.look()


def test_only_the_one_that_does_not_beat_is_killed_and_not_before_its_time() -> None:
    crew, beats = [FakeWorker(1), FakeWorker(2)], Counter[int]()

    def counted(place: int) -> int:
        beats[11] += 1
        return beats[place]

    watch = HangWatch(lambda: crew, counted, 3.0)
    looks(watch, 3.0)
    assert crew[1].sent == []
    looks(watch, BEAT_S)
    assert [worker.sent for worker in crew] == [[], [signal.SIGKILL]]


def test_a_beat_in_time_and_a_new_worker_begin_anew() -> None:
    crew, beats = [FakeWorker(1)], Counter[int]()
    watch = HangWatch(lambda: crew, lambda place: beats[place], 3.0)
    looks(watch, 3.0)
    beats[11] += 1
    looks(watch, 3.0)
    crew[0] = FakeWorker(1)
    looks(watch, 3.0)
    assert crew[0].sent == []


def test_one_that_is_not_ready_yet_may_take_its_time() -> None:
    worker = FakeWorker(1, is_ready=False)
    watch = HangWatch(lambda: [worker], lambda _: 0, 3.0)
    looks(watch, 60.0)
    assert worker.sent == []
