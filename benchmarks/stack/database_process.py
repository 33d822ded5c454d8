"""PostgreSQL as a process apart from the service: ``python -m … DATA_DIR``."""

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

from benchmarks.stack.spoken import Orders, say
from storage.embedded import EmbeddedServer
from storage.errors import EmbeddedServerError


async def serve(data_dir: Path) -> None:
    """Run the embedded server, with the settings that it has in use, until the input closes."""
    orders = await Orders.open()
    server = EmbeddedServer(data_dir)
    try:
        dsn = await server.start()
    except EmbeddedServerError as error:
        say({"error": str(error)})
        return
    try:
        say({"dsn": dsn})
        await orders.next()
    finally:
        await server.stop()


if __name__ == "__main__":
    with suppress(asyncio.CancelledError):
        asyncio.run(serve(Path(sys.argv[1])))
