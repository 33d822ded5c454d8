"""The one place where everything is put together."""

import asyncio
import gc
import logging
import os
import secrets
import signal
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from auction.bootstrap import BootstrapTokens
from auction.engine.auction import Ports
from auction.engine.reception import Reception
from auction.marketplaces import Marketplaces, load_at_start
from auction.web.api import build_api
from auction.web.drain import Drain
from auction.web.ops import build_ops
from auction.web.runner import ProblemRunner
from auction.web.services import ApiServices, OpsServices
from buyers.aiohttp_transport import AiohttpTransport
from buyers.outbound import OutboundRule
from config.faults import ConfigError, Fault
from config.secret_box import SecretBox
from config.settings import Settings
from metrics.loop_lag import LoopLagMonitor
from metrics.registry import Metrics
from metrics.usage_figures import usage_figures
from storage import catalogue
from storage.database import Database
from storage.embedded import EmbeddedServer, running_dsn
from storage.follower import CatalogueFollower
from storage.keys import identity_key, load_or_make_secret_key
from storage.migrate import migrate
from storage.tokens import TokenStore
from storage.vault import CallerVault

logger = logging.getLogger(__name__)

GC_THRESHOLDS = (50_000, 50, 50)
"""Collections are rare: what start-up made is frozen, and a call leaves few cycles behind."""


@dataclass(frozen=True, slots=True)
class ServiceHandle:
    """Where a running service answers. ``token`` has every scope, None when none was configured."""

    base_url: str
    ops_url: str
    token: str | None


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
        """The event loop's clock, in seconds."""
        return asyncio.get_running_loop().time()


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
