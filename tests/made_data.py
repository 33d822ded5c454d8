"""A data directory whose PostgreSQL has the whole schema: made once a process, then copied.

A first start makes one as well, in a second or two that most tests of a service have no use for.
"""

import asyncio
import atexit
import shutil
import tempfile
from pathlib import Path
from subprocess import CalledProcessError

from storage.embedded import EmbeddedServer
from storage.migrate import migrate

_made: list[Path] = []


async def copy_made_data(data_dir: Path) -> None:
    """Make ``data_dir``, which must not exist, as a first start leaves it, all but the key."""
    if not _made:
        _made.append(await _make())
    # Unlike shutil it keeps the owner: PostgreSQL does not run as root.
    command = ("cp", "-a", str(_made[0]), str(data_dir))
    process = await asyncio.create_subprocess_exec(*command)
    code = await process.wait()
    if code != 0:
        raise CalledProcessError(code, command)


async def _make() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="pingpost-made-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    server = EmbeddedServer(folder / "data", settings={"fsync": "off"})
    try:
        await migrate(await server.start())
    finally:
        await server.stop(fast_s=60.0)
    return folder / "data"
