"""Telling systemd how far the service is (``Type=notify``) and that it turns (``WatchdogSec``).

Watched is the process that serves alone, or the parent of the workers, which watches over those.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

_BEATS: Final = 3
"""How often the event loop says that it turns, in the time after which it counts as hung."""

_MICROSECONDS: Final = 1_000_000

logger = logging.getLogger(__name__)


class State(StrEnum):
    """What a service manager is told, in the words of ``sd_notify``."""

    READY = "READY=1"
    ALIVE = "WATCHDOG=1"
    STOPPING = "STOPPING=1"


def tell_service_manager(state: State) -> None:
    """Say so to whoever has started us and waits for it; nothing happens where nobody does."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    # Linux knows names that are in no directory: they begin with a zero byte, written as @.
    path = f"\0{address[1:]}" if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            # One that does not read must not hold up the calls.
            manager.settimeout(0)
            manager.connect(path)
            manager.send(state.encode())
    except OSError as error:
        logger.warning(
            "The service manager can't be told: %s", error, extra={"action": "service_manager"}
        )


def watched_s(environ: Mapping[str, str], pid: int) -> float | None:
    """After how many seconds of silence this process counts as hung; None: nobody watches it."""
    micros, named = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID")
    counts = micros.isascii() and micros.isdigit() and int(micros) > 0
    return int(micros) / _MICROSECONDS if counts and named in {None, str(pid)} else None


async def keep_telling(silence_s: float | None) -> None:
    """Say that the event loop turns for as long as it does; returns where nobody watches."""
    while silence_s is not None:
        tell_service_manager(State.ALIVE)
        await asyncio.sleep(silence_s / _BEATS)
