"""The database that a command or the service works on, and the key to its secrets."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from config.faults import ConfigError, Fault
from config.secret_box import SecretBox
from config.settings import Settings
from storage.database import Database
from storage.embedded import EmbeddedServer, running_dsn
from storage.keys import key_in_force, keys_in, load_or_make_secret_key, put_next_key_in_force
from storage.migrate import migrate

SERVER_STOP_S = 1.0
"""How long the embedded server may take to stop in good order; else it recovers at its start."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Store:
    """A migrated database and the box for its secrets."""

    database: Database
    box: SecretBox


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
            await migrate(dsn, pooler=settings.database_pooler)
        database = await Database.connect(dsn, pooler=settings.database_pooler, max_size=2)
        try:
            yield Store(database, await secret_box(database, settings))
        finally:
            await database.close()


@asynccontextmanager
async def running_database(
    settings: Settings, server_settings: Mapping[str, str] | None = None
) -> AsyncIterator[str]:
    """The URL of a database with the whole schema; an embedded server lives as long as this."""
    async with AsyncExitStack() as stack:
        if settings.dsn is not None:
            secret_keys(settings)
            dsn = settings.dsn.get_secret_value()
        else:
            server = EmbeddedServer(settings.data_dir, settings=server_settings)
            dsn = await server.start()
            stack.push_async_callback(server.stop, fast_s=SERVER_STOP_S)
        if settings.migrate:
            for name in await migrate(dsn, pooler=settings.database_pooler):
                logger.info("Applied migration %s", name, extra={"action": "migrate"})
        yield dsn


async def secret_box(database: Database, settings: Settings) -> SecretBox:
    """The box of the key that the database is sealed with, and a rotation that was cut off ended.

    Raises SecretKeyError when it is none of ours, ConfigError when a DSN is given without a key,
    StorageUnavailableError.
    """
    keys = secret_keys(settings)
    key = await key_in_force(database, keys)
    if settings.secret_key is None and key != load_or_make_secret_key(settings.data_dir):
        put_next_key_in_force(settings.data_dir)
    return SecretBox(key)


def secret_keys(settings: Settings) -> list[bytes]:
    """The keys that the database may be sealed with: of two, a rotation puts the second in force.

    Configured, or in the data directory of the embedded server. Raises ConfigError.
    """
    if settings.secret_key_bytes is None:
        if settings.dsn is not None:
            raise ConfigError([Fault(("PINGPOST_SECRET_KEY",), _KEY_NEEDED)])
        return keys_in(settings.data_dir)
    new = settings.new_secret_key_bytes
    return [settings.secret_key_bytes, *(() if new is None else (new,))]


_KEY_NEEDED = "must be set where PINGPOST_DSN is: `pingpost secret-key` prints one"
