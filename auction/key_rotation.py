"""Another secret key for a database, wherever its keys are kept."""

from dataclasses import dataclass

from auction.stores import reach_database, secret_box, secret_keys
from config.faults import ConfigError, Fault
from config.secret_box import SecretBox
from config.settings import Settings
from storage.database import Database
from storage.keys import key_in_force, load_or_make_next_key, put_next_key_in_force
from storage.rotation import Rotated, rotate


@dataclass(frozen=True, slots=True)
class Rotation:
    """What was done. ``rotated`` None: the new key was in force already.

    ``kept_in_file``: the new key is in the data directory, nothing is to be set.
    """

    rotated: Rotated | None
    kept_in_file: bool


async def rotate_key(settings: Settings) -> Rotation:
    """Put a new secret key in force, once.

    A configured key gives way to PINGPOST_NEW_SECRET_KEY, one of the data directory to one that is
    made there. Killed at any moment, the old key is in force or the new one: repeat it. Raises
    ConfigError when there is no new key, SecretKeyError.
    """
    configured = settings.secret_key is not None or settings.dsn is not None
    if configured and settings.new_secret_key_bytes is None:
        raise ConfigError([Fault(("PINGPOST_NEW_SECRET_KEY",), _NEW_KEY_NEEDED)])
    async with reach_database(settings) as dsn:
        database = await Database.connect(dsn, pooler=settings.database_pooler, max_size=2)
        try:
            if configured:
                return Rotation(await _to_configured(database, settings), kept_in_file=False)
            return Rotation(await _to_made(database, settings), kept_in_file=True)
        finally:
            await database.close()


async def _to_configured(database: Database, settings: Settings) -> Rotated | None:
    old, new = secret_keys(settings)
    if await key_in_force(database, [old, new]) == new:
        return None
    return await rotate(database, SecretBox(old), SecretBox(new))


async def _to_made(database: Database, settings: Settings) -> Rotated:
    old = await secret_box(database, settings)
    new = load_or_make_next_key(settings.data_dir)
    rotated = await rotate(database, old, SecretBox(new))
    put_next_key_in_force(settings.data_dir)
    return rotated


_NEW_KEY_NEEDED = "must be set to the key that comes next: `pingpost secret-key` prints one"
