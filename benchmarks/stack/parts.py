"""PostgreSQL, buyers and the service, each as a real process for the length of a ``with``."""

import asyncio
import os
import secrets
import socket
import sys
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import orjson

from benchmarks.errors import BenchmarkError
from benchmarks.stack.buyer_options import BuyerOptions, credential_of
from benchmarks.stack.certificate import Certificate
from benchmarks.stack.process import ManagedProcess

DATABASE_READY_S: Final = 120.0
BUYERS_READY_S: Final = 30.0
SERVICE_READY_S: Final = 300.0
"""20,000 offers take a while to load."""

_POLL_S: Final = 0.05
_ANSWER_S: Final = 10.0


def _new_key() -> str:
    return urlsafe_b64encode(secrets.token_bytes(32)).decode()


@dataclass(frozen=True, slots=True)
class Database:
    """A durable PostgreSQL with nothing in it."""

    process: ManagedProcess
    dsn: str
    secret_key: str = field(default_factory=_new_key)


@dataclass(frozen=True, slots=True)
class Buyers:
    """Buyers that answer after a fixed delay, each on its own port of 127.0.0.1."""

    process: ManagedProcess
    ports: tuple[int, ...]
    delay_ms: float

    async def counts(self) -> dict[str, int]:
        """``pings``, ``posts``, and ``refused`` for want of credentials, so far."""
        said = await self._said()
        return {name: said[name] for name in ("pings", "posts", "refused")}

    async def pings_each(self) -> tuple[int, ...]:
        """The pings of each buyer so far."""
        return tuple((await self._said())["pings_each"])

    async def _said(self) -> dict[str, Any]:
        await self.process.say({})
        return await self.process.hear(_ANSWER_S)


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """How the service is started: ``launcher`` stands for ``pingpost``."""

    workers: int = 1
    launcher: Sequence[str] = (sys.executable, "-m", "auction")
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Service:
    """``pingpost serve``, ready."""

    process: ManagedProcess
    port: int
    ops_port: int
    token: str

    @property
    def url(self) -> str:
        """Where a switch asks."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ops_url(self) -> str:
        """Where ``/metrics`` is."""
        return f"http://127.0.0.1:{self.ops_port}"


@asynccontextmanager
async def running_database(folder: Path, *, standby: bool = False) -> AsyncIterator[Database]:
    """An embedded PostgreSQL with its data in ``folder``, apart from the service's processes.

    With a ``standby`` each commit waits until a second server has it on disk, too.
    """
    program = (sys.executable, "-m", "benchmarks.stack.database_process", str(folder / "data"))
    command = (*program, *(("--standby",) if standby else ()))
    async with _running("PostgreSQL", command, folder / "postgresql.log") as process:
        said = await process.hear(DATABASE_READY_S)
        if "error" in said:
            message = f"PostgreSQL can't be started: {said['error']}"
            raise BenchmarkError(message)
        yield Database(process, said["dsn"])


@asynccontextmanager
async def running_buyers(
    folder: Path,
    count: int,
    delay_ms: float = 20.0,
    tls: Certificate | None = None,
    *,
    steady: bool = False,
) -> AsyncIterator[Buyers]:
    """``count`` buyers in one process, behind TLS when there is a certificate for it."""
    credentials = tuple(credential_of(number) for number in range(count))
    certificate, key = (None, None) if tls is None else (str(tls.certificate), str(tls.key))
    options = BuyerOptions(credentials, delay_ms, certificate, key, steady)
    text = orjson.dumps(asdict(options)).decode()
    command = (sys.executable, "-m", "benchmarks.stack.buyer_process", text)
    async with _running("the buyers", command, folder / "buyers.log") as process:
        said = await process.hear(BUYERS_READY_S)
        yield Buyers(process, tuple(said["ports"]), delay_ms)


@asynccontextmanager
async def running_service(
    folder: Path,
    database: Database,
    marketplace: Mapping[str, Any],
    options: ServiceOptions | None = None,
    tls: Certificate | None = None,
    *,
    beside: Service | None = None,
) -> AsyncIterator[Service]:
    """The service on free ports, ready, with ``marketplace`` loaded into an empty database.

    It trusts the certificate of ``tls`` alone, when there is one. One ``beside`` another shares
    its database and its token.
    Raises BenchmarkError with the end of the service's log when it does not start.
    """
    options = options or ServiceOptions()
    file = folder / "marketplace.json"
    file.write_bytes(orjson.dumps(marketplace))
    token = secrets.token_urlsafe(24) if beside is None else beside.token
    port, ops_port = free_ports(2)
    ports = ("--port", str(port), "--ops-port", str(ops_port))
    command = (
        *(*options.launcher, "serve", "--marketplace", str(file), *ports),
        *("--workers", str(options.workers), "--data-dir", str(folder / f"service-{port}")),
    )
    trusted = {} if tls is None else {"SSL_CERT_FILE": str(tls.certificate)}
    environment = _environment(database, token) | trusted | dict(options.environment)
    log = folder / f"service-{port}.log"
    process = await ManagedProcess.start("the service", command, log, environment=environment)
    try:
        service = Service(process, port, ops_port, token)
        await _until_ready(service)
        yield service
    finally:
        await process.stop()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on right now."""
    [port] = free_ports(1)
    return port


def free_ports(count: int) -> Sequence[int]:
    """So many of them, no two the same."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _environment(database: Database, token: str) -> dict[str, str]:
    """This process's, with settings of the service replaced by those of the run."""
    inherited = {name: value for name, value in os.environ.items() if "PINGPOST" not in name}
    return inherited | {
        "PINGPOST_DSN": database.dsn,
        "PINGPOST_SECRET_KEY": database.secret_key,
        "PINGPOST_BOOTSTRAP_TOKEN": token,
        "PINGPOST_OUTBOUND_ALLOW": "127.0.0.0/8",
        "PINGPOST_LOG_LEVEL": "warning",
    }


@asynccontextmanager
async def _running(
    name: str, command: Sequence[str], log_file: Path
) -> AsyncIterator[ManagedProcess]:
    process = await ManagedProcess.start(name, command, log_file, spoken_to=True)
    try:
        yield process
    finally:
        await process.stop()


async def _until_ready(service: Service) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + SERVICE_READY_S
    async with httpx.AsyncClient(timeout=_ANSWER_S, trust_env=False) as client:
        while not await _is_ready(client, service):
            service.process.check()
            if loop.time() > until:
                message = f"the service was not ready in time; its log:\n{service.process.tail()}"
                raise BenchmarkError(message)
            await asyncio.sleep(_POLL_S)


async def _is_ready(client: httpx.AsyncClient, service: Service) -> bool:
    try:
        response = await client.get(f"{service.ops_url}/readyz")
    except httpx.TransportError:
        return False
    return response.status_code == httpx.codes.OK
