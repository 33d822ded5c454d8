"""Waiting for what the operating system does not announce."""

import asyncio
from collections.abc import Callable

_EVERY_S = 0.02


async def until(probe: Callable[[], bool], patience_s: float | None) -> bool:
    """Wait until ``probe`` is true; False when that takes more than ``patience_s`` seconds."""
    try:
        async with asyncio.timeout(patience_s):
            while not probe():  # noqa: ASYNC110 - nobody could set an event
                await asyncio.sleep(_EVERY_S)
    except TimeoutError:
        return False
    return True
