"""Processes in namespaces of their own, which end with them, as they end with this process."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.e2e.programs import program

_NEW = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


@asynccontextmanager
async def apart(
    network: str, command: Sequence[str | Path], log: Path, environment: Mapping[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A command as the first of its namespaces' processes, in the folder of its log.

    ``network``: the path of the network's namespace, which is not its own. What it has mounted and
    started is gone at the end, however that comes.
    """
    with_us = (program("setpriv"), "--pdeathsig", "KILL", program("nsenter"), f"--net={network}")
    with log.open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            *(*with_us, *_NEW, *command),
            cwd=log.parent,
            env={**os.environ, **environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def first_of(process: asyncio.subprocess.Process) -> int:
    """The number by which the command itself is known here."""
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
