"""Runs a command to its end; Ctrl-C and SIGTERM end it early, with nothing left running."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import TypeVar

from benchmarks.errors import BenchmarkError

_Result = TypeVar("_Result")


def run_to_end(
    main: Coroutine[object, object, _Result],
    new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> _Result:
    """The result. Raises BenchmarkError when a signal came first."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(_run(main))


async def _run(main: Coroutine[object, object, _Result]) -> _Result:
    task = asyncio.ensure_future(main)
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        message = "ended early; everything that was started has been ended too"
        raise BenchmarkError(message) from None
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
