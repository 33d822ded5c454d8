"""The run's side of the load generator."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from benchmarks.load.plan import LoadPlan, LoadResult, Timeline
from benchmarks.stack.process import ManagedProcess
from benchmarks.stack.usage import Usage, usage_of

SILENT_S: Final = 60.0
"""A generator that says nothing for so long has come to grief."""

Progress = Callable[[float], None]
"""Takes the seconds of a run that have passed."""


def _nothing(_: float) -> None:
    pass


class Generator:
    """Plays one plan after the other."""

    def __init__(self, process: ManagedProcess) -> None:
        """See ``running_generator``."""
        self._process = process

    async def play(self, plan: LoadPlan, progress: Progress = _nothing) -> LoadResult:
        """Play a plan to its end. Raises BenchmarkError when the generator dies."""
        await self._process.say(asdict(plan))
        while True:
            said = await self._process.hear(SILENT_S)
            if "result" in said:
                return _result(said["result"])
            progress(float(said["progress"]["elapsed_s"]))

    def usage(self) -> Usage:
        """What it has used so far."""
        return usage_of(self._process.pid)


@asynccontextmanager
async def running_generator(folder: Path) -> AsyncIterator[Generator]:
    """A load generator in a process of its own, its log in ``folder``."""
    command = (sys.executable, "-m", "benchmarks.load.generator_process")
    name, log = "the load generator", folder / "generator.log"
    process = await ManagedProcess.start(name, command, log, spoken_to=True)
    try:
        yield Generator(process)
    finally:
        await process.stop()


def _result(said: dict[str, Any]) -> LoadResult:
    timeline = Timeline(**{name: tuple(values) for name, values in said["timeline"].items()})
    sampled = tuple((call_id, latency_ms) for call_id, latency_ms in said["sampled"])
    return LoadResult(**{**said, "timeline": timeline, "sampled": sampled})
