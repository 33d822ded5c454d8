"""Tells the supervisor that started this process that it is ready, that it turns, that it stops.

The protocol is systemd's (``sd_notify``): one datagram a message. Without its variables nothing is
done. Which process is watched over: the one that serves alone, or the parent of the workers.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"
_ALIVE: Final = "WATCHDOG=1"

_BEATS: Final = 3
"""How often the loop tells that it turns, in the time after which it counts as hung."""

_MICROSECONDS: Final = 1_000_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Supervisor:
    """``address`` None: there is none. ``hangs_after_s`` None: it watches over nothing."""

    address: str | None = None
    hangs_after_s: float | None = None

    @classmethod
    def of(cls, environ: Mapping[str, str], pid: int | None = None) -> "Supervisor":
        """The one that the environment names; the watch is for the process it names, if any."""
        address = environ.get("NOTIFY_SOCKET") or None
        micros, watched = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID")
        ours = watched is None or watched == str(os.getpid() if pid is None else pid)
        counts = micros.isascii() and micros.isdigit() and int(micros) > 0 and ours
        return cls(address, int(micros) / _MICROSECONDS if counts else None)

    def tell(self, message: str) -> None:
        """Send a message; one that nobody takes is noted in the log and changes nothing."""
        if self.address is None:
            return
        name = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(0)
                sender.sendto(message.encode(), name)
        except OSError as error:
            told = {"action": "supervisor"}
            logger.warning("The supervisor takes no message: %s", error, extra=told)

    async def keep_telling(self) -> None:
        """Tell that the event loop turns, for as long as it does; returns where none watches."""
        while self.address is not None and self.hangs_after_s is not None:
            self.tell(_ALIVE)
            await asyncio.sleep(self.hangs_after_s / _BEATS)
