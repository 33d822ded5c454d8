"""PostgreSQL as a process apart from the service: ``python -m … DATA_DIR [--standby]``."""

import asyncio
import sys
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from benchmarks.stack.spoken import Orders, say
from benchmarks.stack.standby import synchronous_standby
from storage.embedded import EmbeddedServer
from storage.errors import EmbeddedServerError


async def serve(data_dir: Path, *, standby: bool) -> None:
    """Run the embedded server, with the settings that it has in use, until the input closes."""
    orders = await Orders.open()
    server = EmbeddedServer(data_dir)
    try:
        dsn = await server.start()
    except EmbeddedServerError as error:
        say({"error": str(error)})
        return
    try:
        async with AsyncExitStack() as running:
            if standby:
                beside = data_dir.with_name("standby")
                await running.enter_async_context(synchronous_standby(dsn, beside))
            say({"dsn": dsn})
            await orders.next()
    except EmbeddedServerError as error:
        say({"error": str(error)})
    finally:
        await server.stop()


if __name__ == "__main__":
    with suppress(asyncio.CancelledError):
        asyncio.run(serve(Path(sys.argv[1]), standby="--standby" in sys.argv[2:]))
