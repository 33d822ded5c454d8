"""Keys that the service makes for itself."""

import os
import secrets
from contextlib import suppress
from enum import Enum
from pathlib import Path

from config.secret_box import KEY_BYTES, SecretBox, SecretBoxError, new_key, read_key
from storage.data_directory import sync_directory
from storage.database import Database
from storage.errors import SecretKeyError
from storage.queries import query

SECRET_KEY_FILE = "secret.key"  # noqa: S105 - the name of a file
_ADD = query("keys_add")
_GET = query("keys_get")


class ServiceKey(Enum):
    """What a key of ours is for; SECRET_KEY wraps it and may change, the key itself stays."""

    CALLER_IDENTITY = "caller_identity"
    CALL_DATA = "call_data"


async def service_key(database: Database, box: SecretBox, key: ServiceKey) -> bytes:
    """A key of 32 bytes, the same for ever; made the first time.

    Raises SecretKeyError when it was wrapped under another SECRET_KEY, StorageUnavailableError.
    """
    purpose = f"pingpost service key {key.value}".encode()
    async with database.connection() as connection:
        wrapped = await connection.fetchval(_GET, key.value)
        if wrapped is None:
            fresh = box.seal(secrets.token_bytes(KEY_BYTES), purpose)
            await connection.execute(_ADD, key.value, fresh)
            wrapped = await connection.fetchval(_GET, key.value)
    try:
        return box.open(wrapped, purpose)
    except SecretBoxError as error:
        message = "SECRET_KEY is not the one that this database was set up with"
        raise SecretKeyError(message) from error


def load_or_make_secret_key(data_dir: Path) -> bytes:
    """The secret key kept in the data directory, made the first time, readable by its owner alone.

    Raises SecretKeyError when the file is damaged, OSError when it can't be read or made.
    """
    path = data_dir / SECRET_KEY_FILE
    if not path.exists():
        _make(path)
    try:
        return read_key(path.read_text("ascii"))
    except ValueError as error:
        message = f"{path} holds no secret key: it {error}"
        raise SecretKeyError(message) from None


def _make(path: Path) -> None:
    """Write a fresh key, whole or not at all; a key that another process makes meanwhile stands."""
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{new_key()}\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(fresh, path)
        sync_directory(path.parent)
    finally:
        fresh.unlink(missing_ok=True)
