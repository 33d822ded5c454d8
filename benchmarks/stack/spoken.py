"""The other end of a process that a run speaks to: lines of JSON, until its input closes."""

import asyncio
import json
import signal
import sys
from typing import Any, Final

_LONGEST_LINE: Final = 2**26


def say(message: dict[str, Any]) -> None:
    """One line to the run."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


class Orders:
    """What the run says."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        """See ``open``."""
        self._reader = reader

    @classmethod
    async def open(cls) -> "Orders":
        """Listen on standard input; SIGTERM cancels the task that asks for this."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None, "asked for by a task"
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
        reader = asyncio.StreamReader(_LONGEST_LINE)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        return cls(reader)

    async def next(self) -> dict[str, Any] | None:
        """The next order; None when the run is over."""
        line = await self._reader.readline()
        if not line:
            return None
        order: dict[str, Any] = json.loads(line)
        return order
