"""Keys that the service makes for itself."""

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path

from config.secret_box import KEY_BYTES, SecretBox, SecretBoxError, new_key, read_key
from storage.data_directory import sync_directory
from storage.database import Database
from storage.errors import SecretKeyError
from storage.queries import query

SECRET_KEY_FILE = "secret.key"  # noqa: S105 - the name of a file
NEXT_KEY_FILE = "secret.key.next"
"""The key that a rotation seals with, until it has become the secret key."""

_ADD = query("keys_add")
_GET = query("keys_get")
_ANY = query("keys_any")


_OTHER_KEY = "SECRET_KEY is not the one that this database is sealed with"


class ServiceKey(Enum):
    """What a key of ours is for; SECRET_KEY wraps it and may change, the key itself stays."""

    CALLER_IDENTITY = "caller_identity"
    CALL_DATA = "call_data"


async def service_key(database: Database, box: SecretBox, key: ServiceKey) -> bytes:
    """A key of 32 bytes, the same for ever; made the first time.

    Raises SecretKeyError when it was wrapped under another SECRET_KEY, StorageUnavailableError.
    """
    purpose = purpose_of(key.value)
    async with database.connection() as connection:
        wrapped = await connection.fetchval(_GET, key.value)
        if wrapped is None:
            fresh = box.seal(secrets.token_bytes(KEY_BYTES), purpose)
            await connection.execute(_ADD, key.value, fresh)
            wrapped = await connection.fetchval(_GET, key.value)
    try:
        return box.open(wrapped, purpose)
    except SecretBoxError as error:
        raise SecretKeyError(_OTHER_KEY) from error


def purpose_of(name: str) -> bytes:
    """What a wrapped key is sealed for, by its name."""
    return f"pingpost service key {name}".encode()


async def key_in_force(database: Database, keys: Sequence[bytes]) -> bytes:
    """The one of these secret keys that the database is sealed with; the first for an empty one.

    Raises SecretKeyError when it is none of them, StorageUnavailableError.
    """
    async with database.connection() as connection:
        row = await connection.fetchrow(_ANY)
    if row is None:
        return keys[0]
    for key in keys:
        with suppress(SecretBoxError):
            SecretBox(key).open(row["wrapped"], purpose_of(row["name"]))
            return key
    raise SecretKeyError(_OTHER_KEY)


def load_or_make_secret_key(data_dir: Path) -> bytes:
    """The secret key kept in the data directory, made the first time, readable by its owner alone.

    Raises SecretKeyError when the file is damaged, OSError when it can't be read or made.
    """
    return _load_or_make(data_dir / SECRET_KEY_FILE)


def load_or_make_next_key(data_dir: Path) -> bytes:
    """The key that a rotation in this data directory seals with, made the first time."""
    return _load_or_make(data_dir / NEXT_KEY_FILE)


def keys_in(data_dir: Path) -> list[bytes]:
    """The secret key of a data directory, and that of a rotation that is under way."""
    keys = [load_or_make_secret_key(data_dir)]
    with suppress(FileNotFoundError):
        keys.append(_load(data_dir / NEXT_KEY_FILE))
    # The one may have taken the other's place meanwhile.
    return list(dict.fromkeys([*keys, _load(data_dir / SECRET_KEY_FILE)]))


def put_next_key_in_force(data_dir: Path) -> None:
    """The rotation's key becomes the secret key; nothing happens where there is none."""
    with suppress(FileNotFoundError):
        (data_dir / NEXT_KEY_FILE).rename(data_dir / SECRET_KEY_FILE)
        sync_directory(data_dir)


def _load_or_make(path: Path) -> bytes:
    if not path.exists():
        _make(path)
    return _load(path)


def _load(path: Path) -> bytes:
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
