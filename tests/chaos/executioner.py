"""A process that plays a story over and over, and is killed after a given step of it."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg


class Executioner:
    """Counts steps and kills the process after one of them."""

    def __init__(self, last: int) -> None:
        self.steps = 0
        self._last = last

    def step(self) -> None:
        self.steps += 1
        if self.steps == self._last:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch_the_database(self) -> None:
        for name in ("execute", "fetch", "fetchrow", "fetchval"):
            setattr(asyncpg.Connection, name, self._after(getattr(asyncpg.Connection, name)))

    def _after(self, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def run(*arguments: Any, **options: Any) -> Any:
            result = await method(*arguments, **options)
            self.step()
            return result

        return run


Story = Callable[[Executioner, str], Awaitable[None]]
"""What is played, and which part of it is asked for."""


def play_as_told(story: Story) -> None:
    """Play once for each line of standard input: the step to die after, 0 for never, and a part.

    Steps are statements of the database, commits among them, and what the story counts besides.
    Answers with ``done <steps>`` or ``killed``.
    """
    for line in sys.stdin:
        last, _, part = line.strip().partition(" ")
        child = os.fork()
        if child == 0:
            executioner = Executioner(int(last))
            asyncio.run(_run(story, executioner, part))
            sys.stdout.write(f"done {executioner.steps}\n")
            sys.stdout.flush()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            sys.stdout.write("killed\n")
        elif status != 0:
            sys.stdout.write(f"failed {status}\n")
        sys.stdout.flush()


async def _run(story: Story, executioner: Executioner, part: str) -> None:
    await story(executioner, part)
