"""The real service as a process of its own, for tests that stop, kill and restart it."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

from tests.made_data import copy_made_data

TOKEN = "test-bootstrap-token"
AUTHORISED = {"Authorization": f"Bearer {TOKEN}"}
START_WITHIN_S = 180.0
STOP_WITHIN_S = 45.0

# Below those that the system gives to connections; each worker of a run has its own.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 3
_PORTS = range(20_000 + 4_000 * _WORKER, 24_000 + 4_000 * _WORKER)
_next_port = count(os.getpid())


def free_port() -> int:
    """A port that nobody listens on, and that nobody else in this run is told."""
    while True:
        port = _PORTS[next(_next_port) % len(_PORTS)]
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@dataclass(slots=True)
class ServiceProcess:
    """One ``pingpost serve``; ``start`` may be called again after ``kill`` or ``stop``."""

    data_dir: Path
    port: int
    ops_port: int
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] | None = None
    process: asyncio.subprocess.Process | None = None
    port_flags: bool = True

    @property
    def url(self) -> str:
        """Where the switch asks."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ops_url(self) -> str:
        """Where Prometheus asks."""
        return f"http://127.0.0.1:{self.ops_port}"

    async def start(self) -> None:
        """Start the process and wait until it is ready."""
        await self.launch()
        await self.ready()

    async def launch(self) -> None:
        """Start the process."""
        environment = {
            **{name: value for name, value in os.environ.items() if "PINGPOST" not in name},
            "PINGPOST_BOOTSTRAP_TOKEN": TOKEN,
            "PINGPOST_OUTBOUND_ALLOW": "127.0.0.0/8",
            **(self.environment or {}),
        }
        ports = ("--port", str(self.port), "--ops-port", str(self.ops_port))
        log = (self.data_dir.parent / f"{self.data_dir.name}.serve.log").open("ab")
        with log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "auction", "serve"),
                *(ports if self.port_flags else ()),
                *("--data-dir", str(self.data_dir), *self.arguments),
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def ready(self) -> None:
        """Wait until the service says that it is ready."""
        assert self.process is not None
        async with aiohttp.ClientSession() as session, asyncio.timeout(START_WITHIN_S):
            while not await _answers(session, f"{self.ops_url}/readyz"):
                if self.process.returncode is not None:
                    raise AssertionError(f"serve ended with {self.process.returncode}\n{self.log}")
                await asyncio.sleep(0.05)

    async def stop(self) -> int:
        """SIGTERM, and the exit code."""
        return await self._end(signal.SIGTERM)

    async def kill(self) -> int:
        """SIGKILL, and the exit code."""
        return await self._end(signal.SIGKILL)

    async def _end(self, number: signal.Signals) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(STOP_WITHIN_S):
            return await self.process.wait()

    @property
    def log(self) -> str:
        """What the service printed."""
        path = self.data_dir.parent / f"{self.data_dir.name}.serve.log"
        return path.read_text(errors="replace") if path.exists() else ""


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


@asynccontextmanager
async def a_service(
    data_dir: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> AsyncIterator[ServiceProcess]:
    """A running service on free ports; it is stopped at the end whatever happens.

    Where it needs a PostgreSQL of its own and ``data_dir`` is not there yet, its data is laid there
    ready made: a first start is what ``ServiceProcess`` alone has.
    """
    needs_data = "PINGPOST_DSN" not in (environment or {})
    if needs_data and not await asyncio.to_thread(data_dir.exists):
        await copy_made_data(data_dir)
    service = ServiceProcess(data_dir, free_port(), free_port(), arguments, environment)
    try:
        await service.start()
        yield service
    finally:
        if service.process is not None and service.process.returncode is None:
            await service.stop()


@asynccontextmanager
async def a_switch() -> AsyncIterator["Switch"]:
    """A call switch's client."""
    async with aiohttp.ClientSession(headers=AUTHORISED) as session:
        yield Switch(session)


@dataclass(frozen=True, slots=True)
class Switch:
    """Asks the service as a call switch does."""

    session: aiohttp.ClientSession

    async def route(self, service: ServiceProcess, **call: object) -> dict[str, Any]:
        """The decision on a call, which must be a 200."""
        async with self.session.post(f"{service.url}/v1/calls", json=call) as response:
            assert response.status == 200, await response.text()
            decision: dict[str, Any] = await response.json()
            return decision

    async def report(self, service: ServiceProcess, **event: object) -> int:
        """The status of an event's answer."""
        async with self.session.post(f"{service.url}/v1/calls/events", json=event) as response:
            await response.read()
            return response.status

    async def record(self, service: ServiceProcess, call_id: str) -> dict[str, Any]:
        """A call's CDR and trace."""
        async with self.session.get(f"{service.url}/v1/calls/{call_id}") as response:
            assert response.status == 200, await response.text()
            record: dict[str, Any] = await response.json()
            return record
