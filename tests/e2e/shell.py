"""Shell commands as a page shows them, and what they print."""

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path


async def shell(
    commands: str, folder: Path, environment: Mapping[str, str], *, within_s: float = 600.0
) -> str:
    """What the commands print, run in ``folder``; nobody answers what they ask.

    Raises AssertionError with all that was said when one of them fails.
    """
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", commands),
        cwd=folder,
        env={**os.environ, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(within_s):
            said, errors = (each.decode(errors="replace") for each in await process.communicate())
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        raise
    assert process.returncode == 0, f"{commands}\n{said[-4000:]}\n{errors[-4000:]}"
    return said
