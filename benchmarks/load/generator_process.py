"""The load generator as a process of its own: plans come as lines of JSON, results go out."""

import asyncio
import gc
from contextlib import suppress
from dataclasses import asdict
from typing import Final

import uvloop

from benchmarks.load.connections import Connections
from benchmarks.load.plan import LoadPlan
from benchmarks.load.run import LoadRun
from benchmarks.stack.spoken import Orders, say

PROGRESS_S: Final = 0.25


async def serve() -> None:
    """Play every plan that comes, until the input closes."""
    orders = await Orders.open()
    connections: Connections | None = None
    port = callers = 0
    # A pause for garbage here would look like one of the service.
    gc.freeze()
    gc.disable()
    while (order := await orders.next()) is not None:
        plan = LoadPlan(**order)
        if connections is None or plan.port != port:
            if connections is not None:
                connections.close()
            connections = Connections(plan.port, plan.connections, plan.other_ports)
            port = plan.port
        run = LoadRun(plan, connections, callers)
        told = asyncio.create_task(_tell_progress(run))
        result = await run.play()
        told.cancel()
        callers += run.sent
        say({"result": asdict(result)})
        gc.collect()


async def _tell_progress(run: LoadRun) -> None:
    while True:
        await asyncio.sleep(PROGRESS_S)
        say({"progress": {"elapsed_s": run.elapsed_s, "sent": run.sent}})


if __name__ == "__main__":
    with suppress(asyncio.CancelledError):
        uvloop.run(serve())
