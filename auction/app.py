"""The one place where everything is put together."""

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from socket import socket

from auction.announced import due_at
from auction.assembly import CallHandling, Parts
from auction.background import Background
from auction.domain.overload import Thresholds
from auction.listening import listen, listen_on
from auction.marketplaces import Marketplaces
from auction.memory import freeze_what_is_loaded
from auction.oversight import ops_services, tell_first_come
from auction.preparing import prepare
from auction.stores import running_database, secret_box
from auction.tracing.starting import Tracing, Untraced, start_tracing
from auction.web.drain import Drain
from auction.web.ops import build_ops
from auction.web.runner import KEEPALIVE_S, ProblemRunner
from auction.web.services import Signing
from auction.web.sharing import Share
from auction.webhooks.sender import WebhookSender
from buyers.aiohttp_transport import AiohttpTransport
from buyers.guards import Guards
from buyers.native_transport import NativeTransport
from buyers.notices import NoticeBoard
from buyers.outbound import OutboundRule
from config.secret_box import SecretBox
from config.settings import Settings, secrets_of
from metrics.load import LoadTerms
from metrics.loop_lag import LoopLagMonitor
from metrics.registry import Metrics
from storage import catalogue
from storage.database import Database
from storage.follower import CatalogueFollower
from storage.keys import ServiceKey, service_key
from storage.tokens import TokenStore
from storage.vault import CallerVault

logger = logging.getLogger(__name__)

LATE_DECISIONS_S = 0.5
"""How long decisions that nobody waits for any more may take when the service stops."""

STORE_CLOSE_S = 0.5
"""How long what is being stored may take when everybody has been answered."""

LEAVE_S = KEEPALIVE_S + 15.0
"""How long a worker that was replaced keeps connections that nobody asks anything on.

Longer than an idle connection lives in any case, so that none is closed under a request that is on
its way unless it would have been without a restart.
"""

THREADS_GIVE_WAY_S = 0.0005
"""How long a thread that works beside the loop may keep the interpreter when the loop wants it."""


def nothing_to_restart() -> None:
    """Say so."""
    logger.warning(
        "SIGHUP restarts workers one after the other, and there is only one process",
        extra={"action": "restart"},
    )


@dataclass(frozen=True, slots=True)
class ServiceHandle:
    """Where a running service answers. ``token`` has every scope; empty when none is configured.

    ``restart`` puts new processes in the place of those that decide calls, where there are several.
    """

    base_url: str
    ops_url: str
    token: str
    restart: Callable[[], None] = nothing_to_restart


class Service:
    """All that decides calls, in one process: started by ``start`` or ``start_worker``."""

    def __init__(self, settings: Settings, dsn: str, metrics: Metrics | None = None) -> None:
        self._settings = settings
        self._dsn = dsn
        self._stack = AsyncExitStack()
        self._webhooks = AsyncExitStack()
        self._background = Background()
        self._drain = Drain()
        self._tracing: Tracing = Untraced()
        self._metrics = metrics or Metrics(label_limit=settings.metrics_labels)
        self._calls: CallHandling | None = None
        self._api: ProblemRunner | None = None
        self._ops: ProblemRunner | None = None

    async def start(self, marketplace: Path | None) -> ServiceHandle:
        """Load what is needed and listen on both ports; ready when this returns."""
        try:
            return await self._start(marketplace)
        except BaseException:
            await self.stop()
            raise

    async def start_worker(self, listeners: Iterable[socket], share: Share) -> None:
        """Take calls from sockets that others listen on, too; what all need once was seen to."""
        try:
            database = await self._connect()
            calls, _ = await self._begin(database)
            self._api = await listen_on(calls.application(), listeners, share)
        except BaseException:
            await self.stop()
            raise

    async def _start(self, marketplace: Path | None) -> ServiceHandle:
        settings = self._settings
        database = await self._connect()
        await prepare(database, settings, marketplace)
        calls, marketplaces = await self._begin(database)
        ops = ops_services(database, marketplaces.terms, self._metrics, self._drain)
        # First: who is told that it is ready sends calls at once.
        self._api, base_url = await listen(calls.application(), settings.host, settings.port)
        self._ops, ops_url = await listen(build_ops(ops), settings.host, settings.ops_port)
        return ServiceHandle(base_url, ops_url, plain_token(settings))

    async def _connect(self) -> Database:
        settings = self._settings
        database = await Database.connect(
            self._dsn, pooler=settings.database_pooler, max_size=settings.database_connections
        )
        self._stack.push_async_callback(database.close)
        return database

    async def _begin(self, database: Database) -> tuple[CallHandling, Marketplaces]:
        """Everything but listening."""
        stack = self._stack
        self._tracing = start_tracing(on=self._settings.tracing)
        stack.push_async_callback(self._tracing.close)
        # What runs in the background lets go before what it works with is closed.
        stack.push_async_callback(self._webhooks.aclose)
        stack.push_async_callback(self._background.stop)
        box = await secret_box(database, self._settings)
        call_box = SecretBox(await service_key(database, box, ServiceKey.CALL_DATA))
        identity = await service_key(database, box, ServiceKey.CALLER_IDENTITY)
        vault = CallerVault(call_box, identity)
        marketplaces = await self._follow(database, box, vault)
        tokens = TokenStore(database, processes=self._settings.workers)
        await tokens.start()
        stack.push_async_callback(tokens.stop)
        self._calls = self._handle_calls(database, vault, marketplaces, tokens)
        self._background.keep_running("loop lag", LoopLagMonitor(self._metrics.loop_lag).run)
        freeze_what_is_loaded()
        sys.setswitchinterval(THREADS_GIVE_WAY_S)
        return self._calls, marketplaces

    async def _follow(self, database: Database, box: SecretBox, vault: CallerVault) -> Marketplaces:
        rule = OutboundRule(self._settings.outbound_allow)
        native, aiohttp = NativeTransport(rule), AiohttpTransport(rule)
        self._stack.push_async_callback(native.close)
        self._stack.push_async_callback(aiohttp.close)
        board = NoticeBoard(native)
        self._stack.push_async_callback(board.close)
        metrics, workers = self._metrics, self._settings.workers
        guards = Guards(metrics.breaker, processes=workers)
        marketplaces = Marketplaces(
            database,
            box,
            native,
            board,
            os.environ,
            vault,
            metrics.preload,
            aiohttp=aiohttp,
            warm=native.warm,
            guards=guards,
            through=self._tracing.gateway,
            renew_box=partial(secret_box, database, self._settings),
        )

        async def take_up(revision: int) -> None:
            due = await due_at(database, revision)
            await tell_first_come(database, metrics, revision)
            await marketplaces.take_up(revision, due)

        newest = await catalogue.latest(database)
        known = 0 if newest is None else newest.revision
        await tell_first_come(database, metrics, known)
        await marketplaces.take_up(known)
        self._stack.push_async_callback(marketplaces.close)
        follower = CatalogueFollower(database, take_up)
        follower.start(known)
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
                box=partial(secret_box, database, settings),
                vault=vault,
                marketplaces=marketplaces,
                tokens=tokens,
                metrics=self._metrics,
                drain=self._drain,
                bootstrap_token=plain_token(settings) or None,
                readers=max(1, settings.database_connections // 3),
                load_terms=_load_terms(settings),
                max_requests=settings.max_requests,
                signing=_signing(settings),
                voice_bots=settings.voice_bots,
                tracing=self._tracing,
            )
        )
        sender = WebhookSender(OutboundRule(settings.outbound_allow))
        self._webhooks.push_async_callback(sender.close)
        self._stack.push_async_callback(_close_store, handling.ledger.close)
        self._stack.push_async_callback(_close_store, handling.events.close)
        handling.keep_running(self._background, sender)
        return handling

    async def leave(self) -> None:
        """Take no new connection, and wait until those that are open were let go by their clients.

        Each is closed with its next answer, or once it has been idle for its usual time.
        """
        self._drain.let_go()
        if self._api is None:
            return
        for site in tuple(self._api.sites):
            await site.stop()
        await self._api.wait_unconnected(LEAVE_S)

    async def stop(self) -> None:
        """Take no new call, answer those in flight, let everything go; the ops port goes last.

        A process that shows its readiness takes calls until others had time to notice.
        """
        self._drain.begin()
        if self._ops is not None and self._api is not None:
            await asyncio.sleep(self._settings.drain_notice_s)
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
    async with running_database(settings) as dsn, AsyncExitStack() as stack:
        service = Service(settings, dsn)
        handle = await service.start(marketplace)
        stack.push_async_callback(service.stop)
        yield handle


async def _close_store(close: Callable[[], Awaitable[None]]) -> None:
    """Let what is being stored be stored; a database that hangs must not hold up the end."""
    with suppress(TimeoutError):
        async with asyncio.timeout(STORE_CLOSE_S):
            await close()


async def _finish_late_decisions(calls: CallHandling) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(LATE_DECISIONS_S):
            await calls.finish_late_decisions()


def _load_terms(settings: Settings) -> LoadTerms:
    return LoadTerms(
        lag_ms=Thresholds(settings.overload_static_lag_ms, settings.overload_refuse_lag_ms),
        calls=Thresholds(settings.overload_static_calls, settings.overload_refuse_calls),
        queued=Thresholds(settings.overload_static_queued, settings.overload_refuse_queued),
    )


def _signing(settings: Settings) -> Signing:
    return Signing(
        twilio=secrets_of(settings.twilio_auth_token),
        jambonz=secrets_of(settings.jambonz_secret),
        public_url=settings.public_url or "",
    )


def plain_token(settings: Settings) -> str:
    """The token with every scope, empty when none is configured."""
    token = settings.bootstrap_token
    return "" if token is None else token.get_secret_value()
