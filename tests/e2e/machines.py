"""Services on machines of their own, and the HAProxy of ``deploy/`` before them."""

import asyncio
import csv
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.e2e.network import Machine, Network, command_on
from tests.e2e.programs import program
from tests.eventually import eventually
from tests.service_process import AUTHORISED, TOKEN, free_port

HAPROXY_FILE = Path(__file__).parents[2] / "deploy" / "haproxy" / "haproxy.cfg"
START_WITHIN_S = 60.0
STOP_WITHIN_S = 15.0
PATIENCE_S = 40.0
AGAIN_AFTER_S = 0.1


@dataclass(slots=True)
class ServiceMachine:
    """One ``pingpost serve`` on a machine; it may be started again after ``kill``."""

    name: str
    folder: Path
    machine: Machine
    environment: Mapping[str, str]
    arguments: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    ops_port: int = field(default_factory=free_port)
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where a switch asks it."""
        return f"http://{self.machine.address}:{self.port}"

    async def start(self) -> None:
        """Start it and wait until it is ready."""
        plain = {name: text for name, text in os.environ.items() if "PINGPOST" not in name}
        flags = ("--host", self.machine.address, "--port", str(self.port))
        ops = ("--ops-port", str(self.ops_port), "--data-dir", str(self.folder / self.name))
        serve = (sys.executable, "-m", "auction", "serve", *flags, *ops, *self.arguments)
        with self._log_file.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *command_on(self.machine, *serve),
                env={**plain, "PINGPOST_BOOTSTRAP_TOKEN": TOKEN, **self.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        await eventually(self._has_started, within_s=START_WITHIN_S, every_s=0.05)

    async def readiness(self) -> int:
        """The status of ``/readyz``, 0 when nobody answers."""
        url = f"http://{self.machine.address}:{self.ops_port}/readyz"
        timeout = aiohttp.ClientTimeout(total=5)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as reply:
                return reply.status
        except (aiohttp.ClientError, TimeoutError):
            return 0

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)

    async def stop(self) -> None:
        """SIGTERM, if it runs."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(STOP_WITHIN_S):
                await self.process.wait()

    @property
    def log(self) -> str:
        """The end of what it printed."""
        return self._log_file.read_text(errors="replace")[-4000:]

    @property
    def _log_file(self) -> Path:
        return self.folder / f"{self.name}.log"

    async def _has_started(self) -> bool:
        assert self.process is not None
        if self.process.returncode is not None:
            raise RuntimeError(self.log)
        return await self.readiness() == 200


@dataclass(frozen=True, slots=True)
class HAProxy:
    """HAProxy with the file of ``deploy/``."""

    url: str
    stats_url: str

    async def states(self) -> dict[str, str]:
        """What it thinks of each service: ``UP``, ``DOWN`` or on the way."""
        address = f"{self.stats_url}/stats;csv"
        async with aiohttp.ClientSession() as session, session.get(address) as reply:
            lines = (await reply.text()).removeprefix("# ").splitlines()
        rows = [row for row in csv.DictReader(lines) if row["pxname"] == "calls"]
        return {row["svname"]: row["status"] for row in rows if row["svname"] != "BACKEND"}

    async def becomes(self, **wanted: str) -> None:
        """Wait until it thinks so."""

        async def is_so() -> bool:
            states = await self.states()
            assert states == wanted, f"HAProxy says {states}"
            return True

        await eventually(is_so, within_s=20, every_s=0.1)


@asynccontextmanager
async def a_haproxy(
    folder: Path, one: ServiceMachine, two: ServiceMachine
) -> AsyncIterator[HAProxy]:
    """HAProxy before both services, who are ready."""
    port, stats_port = free_port(), free_port()
    environment = {
        "PINGPOST_BIND": f"127.0.0.1:{port}",
        "PINGPOST_STATS_BIND": f"127.0.0.1:{stats_port}",
        "PINGPOST_1": f"{one.machine.address}:{one.port}",
        "PINGPOST_1_OPS": str(one.ops_port),
        "PINGPOST_2": f"{two.machine.address}:{two.port}",
        "PINGPOST_2_OPS": str(two.ops_port),
    }
    with (folder / "haproxy.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(str(program("haproxy")), "-db", "-f", str(HAPROXY_FILE)),
            env={**os.environ, **environment},
            stdout=log,
            stderr=log,
        )
    try:
        haproxy = HAProxy(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{stats_port}")
        await eventually(lambda: _listens(stats_port), within_s=20)
        await haproxy.becomes(one="UP", two="UP")
        yield haproxy
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), STOP_WITHIN_S)


@asynccontextmanager
async def services(
    network: Network,
    folder: Path,
    environment: Callable[[Machine], Mapping[str, str]],
    marketplace: Path,
) -> AsyncIterator[dict[str, ServiceMachine]]:
    """A service on each machine, started at the same moment; all are stopped at the end."""
    arguments = ("--marketplace", str(marketplace))
    made = {
        name: ServiceMachine(name, folder, machine, environment(machine), arguments)
        for name, machine in network.services.items()
    }
    try:
        await asyncio.gather(*(service.start() for service in made.values()))
        yield made
    finally:
        await asyncio.gather(*(service.stop() for service in made.values()))


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@dataclass(slots=True)
class PatientSwitch:
    """A switch that asks again, with the same ``call_id``, until it has an answer.

    ``slack_ms``: how much longer than the call's ``timeout_ms`` it waits for one answer.
    """

    session: aiohttp.ClientSession
    url: str
    slack_ms: int = 1_500
    tries: int = 0
    refusals: dict[str, int] = field(default_factory=dict)
    longest_s: float = 0.0

    async def route(self, call: Mapping[str, Any]) -> bytes:
        """The bytes of the one decision on a call."""
        return await self._until_answered("/v1/calls", call, call["timeout_ms"])

    async def report(self, event: Mapping[str, Any]) -> None:
        """An event, until it is acknowledged."""
        await self._until_answered("/v1/calls/events", event, 5_000)

    async def _until_answered(self, path: str, body: Mapping[str, Any], within_ms: int) -> bytes:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE_S):
            while True:
                began = loop.time()
                status, answer = await self._ask(path, body, (within_ms + self.slack_ms) / 1000)
                self.longest_s = max(self.longest_s, loop.time() - began)
                if status == "200":
                    return answer
                self.refusals[status] = self.refusals.get(status, 0) + 1
                await asyncio.sleep(AGAIN_AFTER_S)

    async def _ask(self, path: str, body: Mapping[str, Any], within_s: float) -> tuple[str, bytes]:
        self.tries += 1
        limit = aiohttp.ClientTimeout(total=within_s)
        try:
            async with self.session.post(self.url + path, json=body, timeout=limit) as reply:
                answer = await reply.read()
        except aiohttp.ClientError:
            return "broken off", b""
        except TimeoutError:
            return "no answer in time", b""
        if reply.status != 200:
            assert reply.status in {502, 503, 504}, answer
            assert reply.headers["Retry-After"], answer
        return str(reply.status), answer


@asynccontextmanager
async def a_patient_switch(url: str, slack_ms: int = 1_500) -> AsyncIterator[PatientSwitch]:
    """A switch that asks at ``url``."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers=AUTHORISED, connector=connector) as session:
        yield PatientSwitch(session, url, slack_ms)
