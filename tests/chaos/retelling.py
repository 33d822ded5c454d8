"""Tests of what is told by a process that ``executioner`` kills: again, and to the end."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
WITHIN_S = 180.0

Left = Callable[[], Awaitable[dict[str, Any]]]
"""Everything that must not depend on who died when."""


@dataclass(frozen=True, slots=True)
class Story:
    """The process that plays one, or a ``part`` of it, time after time."""

    process: Process
    part: str = ""

    async def play(self, killed_at: int = 0) -> str:
        """One run, to its end or until it dies after that step; how it ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{killed_at} {self.part}\n".encode())
        async with asyncio.timeout(WITHIN_S):
            return (await self.process.stdout.readline()).decode().strip()

    async def play_twice(self, left: Left) -> tuple[int, dict[str, Any]]:
        """How many steps it has, and what is left, which a second run must not change."""
        ended, steps = (await self.play()).split()
        assert ended == "done"
        expected = await left()
        assert (await self.play()).startswith("done")
        assert await left() == expected, "repeating everything changes nothing"
        return int(steps), expected

    async def die(self, step: int) -> None:
        """Die after that step."""
        assert await self.play(step) == "killed"

    async def live(self) -> None:
        """Play to the end."""
        assert (await self.play()).startswith("done")


@asynccontextmanager
async def a_story(module: str, *arguments: str, part: str = "") -> AsyncIterator[Story]:
    """What a module tells that calls ``executioner.play_as_told``."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments), cwd=ROOT, stdin=PIPE, stdout=PIPE
    )
    yield Story(process, part)
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()
