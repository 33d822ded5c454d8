"""A crew's rules, on virtual time and without processes."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from auction.workers.crew import LONGEST_PAUSE_S, READY_WITHIN_S, Crew, WorkerFailedError
from tests.virtual_time import run_virtually

Obeys = Callable[["FakeWorker", signal.Signals], None]


@dataclass(eq=False, slots=True)
class FakeWorker:
    """Gets ready after ``ready_after_s`` (None: never) and lives for ``life_s`` (None: on)."""

    number: int
    pid: int
    ready_after_s: float | None = 1.0
    life_s: float | None = None
    obeys_term: bool = True
    started: float = 0.0
    is_ready: bool = False
    left: bool = False
    _begun: asyncio.Event = field(default_factory=asyncio.Event)
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    _code: int = 0

    def run(self) -> None:
        loop = asyncio.get_running_loop()
        self.started = loop.time()
        if self.ready_after_s is not None:
            loop.call_later(self.ready_after_s, self._get_ready)
        if self.life_s is not None:
            loop.call_later(self.life_s, self.end, -9)

    def _get_ready(self) -> None:
        self.is_ready = not self._over.is_set()
        self._begun.set()

    def end(self, code: int) -> None:
        self.is_ready = False
        self._code = code
        self._begun.set()
        self._over.set()

    async def ready(self, within_s: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._begun.wait()
        return self.is_ready

    async def ended(self) -> int:
        await self._over.wait()
        return self._code

    def leave(self) -> None:
        self.left = True

    def send(self, number: signal.Signals) -> None:
        if number is signal.SIGKILL or self.obeys_term:
            self.end(-number)


class Yard:
    """Starts workers as scripted, the last of a script again and again."""

    def __init__(self, *script: dict[str, object]) -> None:
        self._script = list(script) or [{}]
        self.made: list[FakeWorker] = []
        self.ended: list[FakeWorker] = []

    def start(self, number: int) -> FakeWorker:
        facts = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        if "error" in facts:
            raise BlockingIOError("no more processes")
        worker = FakeWorker(number, 1000 + len(self.made), **facts)  # type: ignore[arg-type]  # a script
        self.made.append(worker)
        worker.run()
        return worker

    def crew(self, count: int) -> Crew[FakeWorker]:
        return Crew(count, self.start, self.ended.append)


def virtually(scenario: Callable[[], Coroutine[object, object, None]]) -> None:
    run_virtually(scenario())


def test_all_start_at_once_and_are_ready_together() -> None:
    async def scenario() -> None:
        yard = Yard()
        crew = yard.crew(3)
        await crew.start()
        assert asyncio.get_running_loop().time() == pytest.approx(1.0, abs=0.2)
        assert [worker.number for worker in yard.made] == [1, 2, 3]
        assert crew.alive == 3
        await crew.stop(1.0)
        assert yard.ended == yard.made

    virtually(scenario)


@pytest.mark.parametrize(
    "second",
    [{"life_s": 0.5}, {"ready_after_s": None}, {"error": True}],
    ids=["dies", "hangs", "can't be started"],
)
def test_a_start_fails_when_one_does_not_get_ready(second: dict[str, object]) -> None:
    async def scenario() -> None:
        yard = Yard({}, second)
        crew = yard.crew(2)
        with pytest.raises(WorkerFailedError, match="worker 2"):
            await crew.start()
        await crew.stop(1.0)
        assert yard.ended
        assert crew.living() == []
        assert asyncio.get_running_loop().time() <= READY_WITHIN_S + 1

    virtually(scenario)


def test_one_that_dies_is_replaced_and_the_other_left_alone() -> None:
    async def scenario() -> None:
        yard = Yard({}, {"life_s": 5.0}, {})
        crew = yard.crew(2)
        await crew.start()
        await asyncio.sleep(5.0)
        assert crew.alive == 1
        await asyncio.sleep(2.0)
        assert (crew.alive, crew.replaced) == (2, 1)
        assert [worker.number for worker in yard.made] == [1, 2, 2]
        await crew.stop(1.0)

    virtually(scenario)


def test_one_that_keeps_dying_is_started_less_and_less_often() -> None:
    async def scenario() -> None:
        yard = Yard({"life_s": 2.0})
        crew = yard.crew(1)
        await crew.start()
        await asyncio.sleep(120.0)
        starts = [worker.started for worker in yard.made]
        pauses = [late - early - 2.0 for early, late in pairwise(starts)]
        assert pauses == sorted(pauses)
        assert pauses[0] == pytest.approx(0.1)
        assert pauses[-1] == pytest.approx(LONGEST_PAUSE_S)
        await crew.stop(1.0)

    virtually(scenario)


def test_one_that_never_gets_ready_again_is_tried_less_and_less_often() -> None:
    async def scenario() -> None:
        yard = Yard({"life_s": 2.0}, {"error": True}, {"ready_after_s": None, "life_s": 0.5})
        crew = yard.crew(1)
        await crew.start()
        await asyncio.sleep(300.0)
        assert 25 < len(yard.made) < 40
        assert (crew.alive, crew.replaced) == (0, 0)
        await crew.stop(1.0)

    virtually(scenario)


def test_one_that_has_lived_long_is_replaced_at_once() -> None:
    async def scenario() -> None:
        yard = Yard({"life_s": 2.0}, {"life_s": 2.0}, {"life_s": 100.0}, {})
        crew = yard.crew(1)
        await crew.start()
        await asyncio.sleep(150.0)
        last, before = yard.made[-1], yard.made[-2]
        assert last.started - before.started == pytest.approx(100.1)
        await crew.stop(1.0)

    virtually(scenario)


def test_renewing_goes_one_by_one_and_each_leaves_once_the_new_one_is_ready() -> None:
    async def scenario() -> None:
        yard = Yard()
        crew = yard.crew(2)
        await crew.start()
        first, second = yard.made
        crew.renew()
        await asyncio.sleep(0.9)
        assert (len(yard.made), first.left, second.left) == (3, False, False)
        await asyncio.sleep(0.3)
        assert (len(yard.made), first.left, second.left) == (4, True, False)
        await asyncio.sleep(1.2)
        assert (len(yard.made), second.left, crew.alive) == (4, True, 2)
        crew.renew()
        await asyncio.sleep(2.0)
        assert len(yard.made) == 4, "the old ones have not gone yet"
        for worker in (first, second):
            worker.end(0)
        await asyncio.sleep(0.1)
        assert (len(yard.made), crew.alive, crew.replaced) == (4, 2, 0)
        crew.renew()
        await asyncio.sleep(0.1)
        assert len(yard.made) == 5
        await crew.stop(1.0)
        assert crew.living() == []

    virtually(scenario)


def test_when_a_new_one_does_not_get_ready_the_old_ones_go_on() -> None:
    async def scenario() -> None:
        yard = Yard({}, {}, {"life_s": 0.5})
        crew = yard.crew(2)
        await crew.start()
        crew.renew()
        await asyncio.sleep(5.0)
        assert (len(yard.made), crew.alive, crew.replaced) == (3, 2, 0)
        assert not any(worker.left for worker in yard.made)
        await crew.stop(1.0)

    virtually(scenario)


def test_one_that_dies_while_it_is_renewed_is_not_replaced_twice() -> None:
    async def scenario() -> None:
        yard = Yard({"life_s": 1.5}, {})
        crew = yard.crew(1)
        await crew.start()
        crew.renew()
        await asyncio.sleep(10.0)
        assert (len(yard.made), crew.alive) == (2, 1)
        await crew.stop(1.0)

    virtually(scenario)


def test_what_does_not_end_in_time_is_killed() -> None:
    async def scenario() -> None:
        yard = Yard({}, {"obeys_term": False})
        crew = yard.crew(2)
        await crew.start()
        began = asyncio.get_running_loop().time()
        await crew.stop(3.0)
        assert asyncio.get_running_loop().time() - began == pytest.approx(3.0)
        assert sorted(worker._code for worker in yard.ended) == [-15, -9]
        assert len(yard.made) == 2

    virtually(scenario)
