"""A small service around an embedded server, as a process of its own, for tests that kill it.

Usage: ``python embedded_owner.py DATA_DIR [SETTING=VALUE ...]``. Prints one JSON line when the
server is ready, ends cleanly on SIGTERM.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from storage.embedded import EmbeddedServer
from storage.errors import EmbeddedServerError


async def main(data_dir: Path, settings: dict[str, str]) -> None:
    server = EmbeddedServer(data_dir, settings=settings)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    try:
        dsn = await server.start()
    except EmbeddedServerError as error:
        say({"error": str(error)})
        return
    say({"dsn": dsn, "pid": server.pid, "uid": os.getuid()})
    await ended.wait()
    await server.stop()


def say(facts: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), dict(text.split("=", 1) for text in sys.argv[2:])))
