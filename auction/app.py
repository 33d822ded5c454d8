"""The one place where everything is put together."""

import asyncio
import gc
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from auction.assembly import CallHandling, Parts
from auction.background import Background
from auction.marketplaces import Marketplaces, load_at_start
from auction.ports import StorageUnavailableError
from auction.stores import secret_key
from auction.web.api import build_api
from auction.web.drain import Drain
from auction.web.ops import build_ops
from auction.web.runner import ProblemRunner
from auction.web.services import OpsServices
from auction.webhooks.sender import WebhookSender
from buyers.aiohttp_transport import AiohttpTransport
from buyers.native_transport import NativeTransport
from buyers.notices import NoticeBoard
from buyers.outbound import OutboundRule
from config.secret_box import SecretBox
from config.settings import Settings, unknown_variables
from metrics.loop_lag import LoopLagMonitor
from metrics.registry import Metrics
from metrics.usage_figures import usage_figures
from storage import catalogue
from storage.database import Database
from storage.embedded import EmbeddedServer
from storage.follower import CatalogueFollower
from storage.keys import ServiceKey, service_key
from storage.migrate import migrate
from storage.partitions import add_partitions
from storage.readings import read_ledger
from storage.tokens import TokenStore
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


class Service:
    """The whole service in one process: started by ``start``, ended by ``stop``."""

    def __init__(self, settings: Settings, dsn: str) -> None:
        self._settings = settings
        self._dsn = dsn
        self._stack = AsyncExitStack()
        self._webhooks = AsyncExitStack()
        self._background = Background()
        self._drain = Drain()
        self._metrics = Metrics()
        self._calls: CallHandling | None = None
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
        # What runs in the background lets go before what it works with is closed.
        stack.push_async_callback(self._webhooks.aclose)
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
        self._calls = self._handle_calls(database, vault, marketplaces, tokens)
        ops = self._ops_services(database, marketplaces)
        self._background.keep_running("loop lag", LoopLagMonitor(self._metrics.loop_lag).run)
        _freeze_what_is_loaded()
        self._ops, ops_url = await _listen(build_ops(ops), settings.host, settings.ops_port)
        self._api, base_url = await _listen(
            build_api(self._calls.services, self._calls.life), settings.host, settings.port
        )
        return ServiceHandle(base_url, ops_url, _plain(settings) or "")

    async def _load(self, database: Database, box: SecretBox, marketplace: Path) -> None:
        applied = await load_at_start(database, box, marketplace, os.environ)
        for warning in applied.check.warnings:
            logger.warning("%s: %s", marketplace, warning, extra={"action": "check"})

    async def _follow(self, database: Database, box: SecretBox, vault: CallerVault) -> Marketplaces:
        rule = OutboundRule(self._settings.outbound_allow)
        native, aiohttp = NativeTransport(rule), AiohttpTransport(rule)
        self._stack.push_async_callback(native.close)
        self._stack.push_async_callback(aiohttp.close)
        board = NoticeBoard(native)
        self._stack.push_async_callback(board.close)
        marketplaces = Marketplaces(
            database,
            box,
            native,
            board,
            os.environ,
            vault,
            self._metrics.preload,
            aiohttp=aiohttp,
            warm=native.warm,
        )
        newest = await catalogue.latest(database)
        await marketplaces.take_up(0 if newest is None else newest.revision)
        follower = CatalogueFollower(database, marketplaces.take_up)
        follower.start(marketplaces.revision)
        self._stack.push_async_callback(follower.stop)
        return marketplaces

    def _handle_calls(
        self,
        database: Database,
        vault: CallerVault,
        marketplaces: Marketplaces,
        tokens: TokenStore,
    ) -> CallHandling:
        settings = self._settings
        handling = CallHandling(
            Parts(
                database=database,
                vault=vault,
                marketplaces=marketplaces,
                tokens=tokens,
                metrics=self._metrics,
                drain=self._drain,
                bootstrap_token=_plain(settings),
                readers=max(1, settings.database_connections // 3),
            )
        )
        sender = WebhookSender(OutboundRule(settings.outbound_allow))
        self._webhooks.push_async_callback(sender.close)
        self._stack.push_async_callback(_close_store, handling.ledger.close)
        self._stack.push_async_callback(_close_store, handling.events.close)
        handling.keep_running(self._background, sender)
        return handling

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
            if self._calls is not None:
                steps.push_async_callback(_finish_late_decisions, self._calls)
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


async def _finish_late_decisions(calls: CallHandling) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(LATE_DECISIONS_S):
            await calls.finish_late_decisions()


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
