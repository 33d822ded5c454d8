"""API tokens: made once, kept as hashes, looked up in memory."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import asyncpg

from auction.ports import StorageUnavailableError
from storage.database import Database
from storage.follower import RevisionFollower
from storage.queries import query

SCOPES = frozenset({"calls", "read", "admin", "pii", "postback"})
PREFIX = "pp_"
_TOKEN_BYTES = 32

# Found by the first half of its hash, compared in constant time by the whole.
_INDEX_BYTES = 16
_NOBODY: tuple[bytes, None] = (b"", None)

_ADD = query("tokens_add")
_REVOKE = query("tokens_revoke")
_LIST = query("tokens_list")
_VALID = query("tokens_valid")
_REVISION = query("tokens_revision")
_ANNOUNCE = query("tokens_announce")


@dataclass(frozen=True, slots=True)
class TokenGrant:
    """Who may do what; ``buyer`` and ``source`` narrow what is seen, ``switch`` is who calls."""

    id: str
    name: str
    scopes: frozenset[str]
    buyer: str | None = None
    source: str | None = None
    switch: str | None = None


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token just made: the only time that its text is known."""

    grant: TokenGrant
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A token as it is listed; ``revoked_at`` is set when it is no longer good."""

    grant: TokenGrant
    created_at: datetime
    revoked_at: datetime | None


async def create_token(
    database: Database,
    name: str,
    scopes: Iterable[str],
    *,
    buyer: str | None = None,
    source: str | None = None,
    switch: str | None = None,
) -> NewToken:
    """Make a token.

    Raises ValueError for no scope or an unknown one, StorageUnavailableError.
    """
    wanted = frozenset(scopes)
    if not wanted or not wanted <= SCOPES:
        message = f"scopes must be some of {', '.join(sorted(SCOPES))}"
        raise ValueError(message)
    token = PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
    grant = TokenGrant(f"tok_{secrets.token_hex(8)}", name, wanted, buyer, source, switch)
    async with database.transaction() as connection:
        narrowing = (buyer, source, switch)
        await connection.execute(
            _ADD, grant.id, name, hash_token(token), sorted(wanted), *narrowing
        )
        await connection.execute(_ANNOUNCE)
    return NewToken(grant, token)


async def revoke_token(database: Database, token_id: str) -> bool:
    """Make a token useless; False when there is no such token or it is already revoked."""
    async with database.transaction() as connection:
        revoked = await connection.fetchval(_REVOKE, token_id) is not None
        if revoked:
            await connection.execute(_ANNOUNCE)
    return revoked


async def list_tokens(database: Database) -> list[StoredToken]:
    """Every token, revoked ones included, oldest first."""
    async with database.connection() as connection:
        rows = await connection.fetch(_LIST)
    return [StoredToken(_grant(row), row["created_at"], row["revoked_at"]) for row in rows]


class TokenStore:
    """The good tokens in memory, at most a second old; while the database is away, as they were."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._grants: Mapping[bytes, tuple[bytes, TokenGrant]] | None = None
        self._follower = RevisionFollower(database, "pingpost_tokens", _REVISION, self._refresh)

    async def start(self) -> None:
        """Load the tokens and follow their changes. Raises StorageUnavailableError."""
        async with self._database.connection() as connection:
            revision = await connection.fetchval(_REVISION)
        await self._refresh(revision)
        self._follower.start(revision)

    async def stop(self) -> None:
        """Stop following."""
        await self._follower.stop()

    async def lookup(self, token: str) -> TokenGrant | None:
        """What a token allows, None when it is not good.

        Needs no query. Raises StorageUnavailableError before ``start``.
        """
        if self._grants is None:
            message = "the tokens are not loaded yet"
            raise StorageUnavailableError(message)
        presented = hash_token(token)
        stored, grant = self._grants.get(presented[:_INDEX_BYTES], _NOBODY)
        return grant if hmac.compare_digest(stored, presented) else None

    async def _refresh(self, _: int) -> None:
        async with self._database.connection() as connection:
            rows = await connection.fetch(_VALID)
        self._grants = {row["hash"][:_INDEX_BYTES]: (row["hash"], _grant(row)) for row in rows}


def hash_token(token: str) -> bytes:
    """What is kept of a token: its SHA-256. Any text has one."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _grant(row: asyncpg.Record) -> TokenGrant:
    return TokenGrant(
        row["id"],
        row["name"],
        frozenset(row["scopes"]),
        row["buyer"],
        row["source"],
        row["switch"],
    )
