"""Waiting for something without sleeping longer than it takes."""

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TypeVar, overload

T = TypeVar("T")


@overload
async def eventually(
    probe: Callable[[], Awaitable[T]], *, within_s: float = 5.0, every_s: float = 0.01
) -> T: ...


@overload
async def eventually(
    probe: Callable[[], T], *, within_s: float = 5.0, every_s: float = 0.01
) -> T: ...


async def eventually(
    probe: Callable[[], T | Awaitable[T]], *, within_s: float = 5.0, every_s: float = 0.01
) -> T:
    """Ask until the answer is true, and return it.

    Raises AssertionError with the last answer when ``within_s`` seconds were not enough. An
    AssertionError of the probe itself counts as no, and is raised when the time is over.
    """
    deadline = asyncio.get_running_loop().time() + within_s
    while True:
        late = asyncio.get_running_loop().time() > deadline
        try:
            answer = probe()
            answer = await answer if isawaitable(answer) else answer
        except AssertionError:
            if late:
                raise
        else:
            if answer:
                return answer
            assert not late, f"still {answer!r} after {within_s} s"
        await asyncio.sleep(every_s)
