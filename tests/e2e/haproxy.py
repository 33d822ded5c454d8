"""The real HAProxy, run with the file of ``deploy/``; its addresses come from the environment."""

import asyncio
import csv
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import aiohttp

from tests.e2e.programs import program
from tests.eventually import eventually
from tests.service_process import ServiceProcess, free_port

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "haproxy" / "haproxy.cfg"
START_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class HAProxy:
    """Where calls are taken, and what it says of its servers."""

    port: int = field(default_factory=free_port)
    stats_port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        """Where the switch asks."""
        return f"http://127.0.0.1:{self.port}"

    async def states(self) -> dict[str, str]:
        """The servers of calls, each with its state such as ``UP``."""
        servers = [row for row in await self._rows() if row["pxname"] == "calls"]
        return {row["svname"]: row["status"] for row in servers if row["svname"] in ("one", "two")}

    async def asked(self, backend: str) -> int:
        """How many requests a backend has had."""
        whole = [row for row in await self._rows() if row["svname"] == "BACKEND"]
        return sum(int(row["stot"]) for row in whole if row["pxname"] == backend)

    async def _rows(self) -> list[dict[str, str]]:
        url = f"http://127.0.0.1:{self.stats_port}/stats;csv"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return list(csv.DictReader(StringIO((await response.text()).removeprefix("# "))))

    async def both_up(self) -> bool:
        """Whether calls go to both services."""
        return await self._all("UP")

    async def both_down(self) -> bool:
        """Whether there is nobody to send calls to."""
        return await self._all("DOWN")

    async def _all(self, state: str) -> bool:
        try:
            return set((await self.states()).values()) == {state}
        except aiohttp.ClientError:
            return False


@asynccontextmanager
async def an_haproxy(
    folder: Path, services: Sequence[ServiceProcess], *, up: bool = True
) -> AsyncIterator[HAProxy]:
    """One in front of two services; both are in use, unless ``up`` is False; ended at the end."""
    haproxy = HAProxy()
    one, two = services
    environment = {
        **os.environ,
        "PINGPOST_BIND": f"127.0.0.1:{haproxy.port}",
        "PINGPOST_STATS_BIND": f"127.0.0.1:{haproxy.stats_port}",
        "PINGPOST_1": f"127.0.0.1:{one.port}",
        "PINGPOST_1_OPS": str(one.ops_port),
        "PINGPOST_2": f"127.0.0.1:{two.port}",
        "PINGPOST_2_OPS": str(two.ops_port),
    }
    with (folder / "haproxy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(program("haproxy"), "-db", "-f", CONFIGURATION),
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        awaited = haproxy.both_up if up else haproxy.both_down
        await eventually(awaited, within_s=START_WITHIN_S, every_s=0.1)
        yield haproxy
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()
