"""Steps as deciders, switches and sweepers take them: again while they can't be done."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from auction.assembly import SystemClock
from auction.engine.persistence import persist

Step = TypeVar("Step")

PATIENCE_S = 180.0
"""For a machine that is many times slower than it should be."""

CLOCK = SystemClock()


async def patiently(step: Callable[[], Awaitable[Step]]) -> Step:
    """The step's result, once others have let go of the rows that it needs.

    Where the machine is slow whoever has a row keeps it longer than others wait (250 ms, a few
    times), and then nothing of theirs is stored and they are told to come back.
    """
    return await persist(step, CLOCK, CLOCK.monotonic() + PATIENCE_S)
