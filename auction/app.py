"""The one place where everything is put together."""

import asyncio
import gc
import logging
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from aiohttp import web

from auction.background import Background
from auction.bootstrap import BootstrapTokens
from auction.engine.auction import Ports
from auction.engine.reception import Reception
from auction.marketplaces import Marketplaces, load_at_start
from auction.ports import StorageUnavailableError
from auction.web.api import build_api
from auction.web.drain import Drain
from auction.web.ops import build_ops
from auction.web.runner import ProblemRunner
from auction.web.services import ApiServices, OpsServices
from buyers.aiohttp_transport import AiohttpTransport
from buyers.outbound import OutboundRule
from config.faults import ConfigError, Fault
from config.secret_box import SecretBox
from config.settings import Settings, unknown_variables
from metrics.loop_lag import LoopLagMonitor
from metrics.registry import Metrics
from metrics.usage_figures import usage_figures
from storage import catalogue
from storage.database import Database
from storage.embedded import EmbeddedServer, running_dsn
from storage.events import CallEvents
from storage.follower import CatalogueFollower
from storage.keys import ServiceKey, load_or_make_secret_key, service_key
from storage.ledger import PostgresLedger
from storage.migrate import migrate
from storage.partitions import add_partitions, keep_partitions
from storage.readings import read_ledger
from storage.records import CallRecords
from storage.sweeper import Sweeper
from storage.tokens import TokenStore
from storage.usage_view import PostgresUsageView
from storage.vault import CallerVault

logger = logging.getLogger(__name__)

LATE_DECISIONS_S = 0.5
"""How long decisions that nobody waits for any more may take when the service stops."""

STORE_CLOSE_S = 0.5
"""How long what is being stored may take when everybody has been answered."""

CONNECTIONS_CLOSE_S = 0.5
"""How long connections may take to close once their requests were answered or given up."""

SERVER_STOP_S = 1.0
"""How long the embedded server may take to stop in good order; else it recovers at its start."""

GC_THRESHOLDS = (50_000, 50, 50)
"""Collections are rare: what start-up made is frozen, and a call leaves few cycles behind."""


@dataclass(frozen=True, slots=True)
class ServiceHandle:
    """Where a running service answers. ``token`` has every scope; empty when none is configured."""

    base_url: str
    ops_url: str
    token: str


@dataclass(frozen=True, slots=True)
class Store:
    """A migrated database and the box for its secrets."""

    database: Database
    box: SecretBox


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """The wall clock in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """The monotonic clock, in seconds; an event loop's own may count in milliseconds."""
        return time.monotonic()


class RandomIds:
    """Identifiers from the system's random source."""

    def token(self) -> str:
        """32 hexadecimal characters."""
        return secrets.token_hex(16)


@asynccontextmanager
async def reach_database(settings: Settings) -> AsyncIterator[str]:
    """The URL of the configured server, of one running in the data directory, or of one started."""
    if settings.dsn is not None:
        yield settings.dsn.get_secret_value()
        return
    running = running_dsn(settings.data_dir)
    if running is not None:
        yield running
        return
    server = EmbeddedServer(settings.data_dir)
    try:
        yield await server.start()
    finally:
        await server.stop()


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[Store]:
    """A migrated database for one command."""
    async with reach_database(settings) as dsn:
        if settings.migrate:
            await migrate(dsn)
        database = await Database.connect(dsn, max_size=2)
        try:
            yield Store(database, SecretBox(secret_key(settings)))
        finally:
            await database.close()


def secret_key(settings: Settings) -> bytes:
    """The configured key, or the one in the data directory of the embedded server.

    Raises ConfigError when a DSN is given without a key.
    """
    if settings.secret_key_bytes is not None:
        return settings.secret_key_bytes
    if settings.dsn is not None:
        raise ConfigError([Fault(("PINGPOST_SECRET_KEY",), _KEY_NEEDED)])
    return load_or_make_secret_key(settings.data_dir)


_KEY_NEEDED = "must be set where PINGPOST_DSN is: `pingpost secret-key` prints one"


class Service:
    """The whole service in one process: started by ``start``, ended by ``stop``."""

    def __init__(self, settings: Settings, dsn: str) -> None:
        self._settings = settings
        self._dsn = dsn
        self._stack = AsyncExitStack()
        self._background = Background()
        self._drain = Drain()
        self._metrics = Metrics()
        self._reception: Reception | None = None
        self._api: ProblemRunner | None = None
        self._ops: ProblemRunner | None = None

    async def start(self, marketplace: Path | None) -> ServiceHandle:
        """Load what is needed and listen; ready when this returns."""
        try:
            return await self._start(marketplace)
        except BaseException:
            await self.stop()
            raise

    async def _start(self, marketplace: Path | None) -> ServiceHandle:
        settings, stack = self._settings, self._stack
        box = SecretBox(secret_key(settings))
        database = await Database.connect(self._dsn, max_size=settings.database_connections)
        stack.push_async_callback(database.close)
        stack.push_async_callback(self._background.stop)
        await _make_partitions(database)
        call_box = SecretBox(await service_key(database, box, ServiceKey.CALL_DATA))
        identity = await service_key(database, box, ServiceKey.CALLER_IDENTITY)
        vault = CallerVault(call_box, identity)
        if marketplace is not None:
            await self._load(database, box, marketplace)
        marketplaces = await self._follow(database, box, vault)
        tokens = TokenStore(database)
        await tokens.start()
        stack.push_async_callback(tokens.stop)
        services = self._decide(database, vault, marketplaces, tokens)
        ops = self._ops_services(database, marketplaces)
        self._background.keep_running("loop lag", LoopLagMonitor(self._metrics.loop_lag).run)
        _freeze_what_is_loaded()
        self._ops, ops_url = await _listen(build_ops(ops), settings.host, settings.ops_port)
        self._api, base_url = await _listen(build_api(services), settings.host, settings.port)
        return ServiceHandle(base_url, ops_url, _plain(settings) or "")

    async def _load(self, database: Database, box: SecretBox, marketplace: Path) -> None:
        applied = await load_at_start(database, box, marketplace, os.environ)
        for warning in applied.check.warnings:
            logger.warning("%s: %s", marketplace, warning, extra={"action": "check"})

    async def _follow(self, database: Database, box: SecretBox, vault: CallerVault) -> Marketplaces:
        transport = AiohttpTransport(OutboundRule(self._settings.outbound_allow))
        self._stack.push_async_callback(transport.close)
        marketplaces = Marketplaces(
            database, box, transport, os.environ, vault, self._metrics.preload
        )
        newest = await catalogue.latest(database)
        await marketplaces.take_up(0 if newest is None else newest.revision)
        follower = CatalogueFollower(database, marketplaces.take_up)
        follower.start(marketplaces.revision)
        self._stack.push_async_callback(follower.stop)
        return marketplaces

    def _decide(
        self,
        database: Database,
        vault: CallerVault,
        marketplaces: Marketplaces,
        tokens: TokenStore,
    ) -> ApiServices:
        clock = SystemClock()
        usage = PostgresUsageView(database, clock.monotonic)
        self._background.keep_running("usage view", usage.run)
        observe = self._metrics.ledger_batch
        ledger = PostgresLedger(database, vault, on_usage=usage.note, observe=observe)
        self._stack.push_async_callback(_close_store, ledger.close)
        events = CallEvents(database, usage.note, on_earned=self._metrics.earned, observe=observe)
        self._stack.push_async_callback(_close_store, events.close)
        sweeper = Sweeper(database, usage.note, on_earned=self._metrics.earned)
        self._background.keep_running("sweeper", sweeper.run)
        self._background.keep_running("partitions", partial(keep_partitions, database))
        ports = Ports(ledger, usage, clock, RandomIds(), self._metrics)
        self._reception = Reception(marketplaces, ports)
        return ApiServices(
            reception=self._reception,
            events=events,
            records=CallRecords(
                database, vault, at_once=max(1, self._settings.database_connections // 3)
            ),
            revisions=marketplaces,
            tokens=BootstrapTokens(tokens, _plain(self._settings)),
            clock=clock,
            default_country=marketplaces.default_country,
            fingerprint=vault.fingerprint,
            drain=self._drain,
        )

    def _ops_services(self, database: Database, marketplaces: Marketplaces) -> OpsServices:
        async def database_answers() -> str | None:
            await catalogue.latest(database)
            return None

        async def catalogue_loaded() -> str | None:
            return None if marketplaces.loaded else "not loaded"

        async def refresh() -> None:
            reading = await read_ledger(database)
            current = marketplaces.current().catalogue
            self._metrics.show_usage(usage_figures(current, reading.usage, datetime.now(UTC)))

        return OpsServices(
            checks={"database": database_answers, "catalogue": catalogue_loaded},
            exposition=self._metrics.exposition,
            refresh=refresh,
            drain=self._drain,
        )

    async def stop(self) -> None:
        """Take no new call, answer those in flight, let everything go; the ops port goes last."""
        self._drain.begin()
        # The last comes first; each runs whatever the others raise.
        async with AsyncExitStack() as steps:
            steps.push_async_callback(self._stack.aclose)
            if self._ops is not None:
                steps.push_async_callback(self._ops.cleanup)
            if self._reception is not None:
                steps.push_async_callback(_finish_late_decisions, self._reception)
            if self._api is not None:
                steps.push_async_callback(self._api.cleanup)
                steps.push_async_callback(self._drain.wait_idle, self._settings.drain_s)
                for site in self._api.sites:
                    steps.push_async_callback(site.stop)


@asynccontextmanager
async def running_service(
    settings: Settings, marketplace: Path | None = None
) -> AsyncIterator[ServiceHandle]:
    """A service in this process, with the embedded server when no DSN is set."""
    async with AsyncExitStack() as stack:
        if settings.dsn is not None:
            secret_key(settings)
            dsn = settings.dsn.get_secret_value()
        else:
            server = EmbeddedServer(settings.data_dir)
            dsn = await server.start()
            stack.push_async_callback(server.stop, fast_s=SERVER_STOP_S)
        if settings.migrate:
            for name in await migrate(dsn):
                logger.info("Applied migration %s", name, extra={"action": "migrate"})
        service = Service(settings, dsn)
        handle = await service.start(marketplace)
        stack.push_async_callback(service.stop)
        yield handle


async def serve(settings: Settings, marketplace: Path | None) -> None:
    """Run until SIGTERM or SIGINT; one that comes while starting ends the start."""
    for name in unknown_variables(os.environ):
        logger.warning("%s is no setting: misspelt?", name, extra={"action": "settings"})
    ready, stop = asyncio.Event(), asyncio.Event()
    work = asyncio.create_task(_run(settings, marketplace, ready, stop))

    def end() -> None:
        stop.set()
        if not ready.is_set():
            work.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    with suppress(asyncio.CancelledError):
        await work
    logger.info("Stopped", extra={"action": "stopped"})


async def _run(
    settings: Settings, marketplace: Path | None, ready: asyncio.Event, stop: asyncio.Event
) -> None:
    async with running_service(settings, marketplace) as handle:
        ready.set()
        logger.info(
            "Ready on %s, ops on %s", handle.base_url, handle.ops_url, extra={"action": "ready"}
        )
        await stop.wait()
        logger.info("Stopping", extra={"action": "stopping"})


async def _listen(application: web.Application, host: str, port: int) -> tuple[ProblemRunner, str]:
    runner = ProblemRunner(application, shutdown_timeout_s=CONNECTIONS_CLOSE_S)
    await runner.setup()
    site = web.TCPSite(runner, host, port, backlog=1024)
    try:
        await site.start()
    except BaseException:
        await runner.cleanup()
        raise
    bound = runner.addresses[0][1]
    return runner, f"http://{host}:{bound}"


async def _close_store(close: Callable[[], Awaitable[None]]) -> None:
    """Let what is being stored be stored; a database that hangs must not hold up the end."""
    with suppress(TimeoutError):
        async with asyncio.timeout(STORE_CLOSE_S):
            await close()


async def _finish_late_decisions(reception: Reception) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(LATE_DECISIONS_S):
            await reception.drain()


async def _make_partitions(database: Database) -> None:
    try:
        await add_partitions(database)
    except StorageUnavailableError as error:
        # Others may be selling; rows go to the default partition until it is tried again.
        logger.warning("No partitions made: %s", error, extra={"action": "add_partitions"})


def _plain(settings: Settings) -> str | None:
    token = settings.bootstrap_token
    return None if token is None else token.get_secret_value()


def _freeze_what_is_loaded() -> None:
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
