"""API tokens: made once, kept as hashes, looked up in memory."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import asyncpg

from auction.domain.throttle import RateLimit, Throttle
from auction.ports import StorageUnavailableError
from storage.audit import COMMAND, Actor, Document, add_note
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
_GET = query("tokens_get")
_LIST = query("tokens_list")
_VALID = query("tokens_valid")
_REVISION = query("tokens_revision")
_ANNOUNCE = query("tokens_announce")


@dataclass(frozen=True, slots=True)
class TokenGrant:
    """Who may do what; ``buyer`` and ``source`` narrow what is seen, ``switch`` is who calls.

    ``rate_limit`` None: none. ``expires_at`` None: good until it is revoked.
    """

    id: str
    name: str
    scopes: frozenset[str]
    buyer: str | None = None
    source: str | None = None
    switch: str | None = None
    rate_limit: RateLimit | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token just made: the only time that its text is known."""

    grant: TokenGrant
    created_at: datetime
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
    rate_limit: RateLimit | None = None,
    expires_at: datetime | None = None,
    by: Actor = COMMAND,
) -> NewToken:
    """Make a token.

    Raises ValueError for no scope, an unknown one or ``admin`` with a buyer or a source;
    StorageUnavailableError.
    """
    wanted = frozenset(scopes)
    if not wanted or not wanted <= SCOPES:
        message = f"scopes must be some of {', '.join(sorted(SCOPES))}"
        raise ValueError(message)
    if "admin" in wanted and (buyer or source):
        message = "a token that is bound to a buyer or a source can't have scope admin"
        raise ValueError(message)
    token = PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
    grant = TokenGrant(
        f"tok_{secrets.token_hex(8)}", name, wanted, buyer, source, switch, rate_limit, expires_at
    )
    async with database.transaction() as connection:
        created_at = await connection.fetchval(_ADD, *_row(grant, token))
        await connection.execute(_ANNOUNCE)
        await add_note(connection, by.did("create", "token", grant.id, after=_noted(grant)))
    return NewToken(grant, created_at, token)


def _noted(grant: TokenGrant) -> Document:
    bound = {"buyer": grant.buyer, "source": grant.source, "switch": grant.switch}
    return {
        "name": grant.name,
        "scopes": sorted(grant.scopes),
        **{key: value for key, value in bound.items() if value is not None},
    }


def _row(grant: TokenGrant, token: str) -> tuple[object, ...]:
    limit = grant.rate_limit
    return (
        grant.id,
        grant.name,
        hash_token(token),
        sorted(grant.scopes),
        grant.buyer,
        grant.source,
        grant.switch,
        None if limit is None else limit.per_second,
        None if limit is None else limit.burst,
        grant.expires_at,
    )


async def revoke_token(database: Database, token_id: str, by: Actor = COMMAND) -> bool:
    """Make a token useless; False when there is no such token or it is already revoked."""
    async with database.transaction() as connection:
        row = await connection.fetchrow(_REVOKE, token_id)
        if row is not None:
            await connection.execute(_ANNOUNCE)
            await add_note(
                connection, by.did("delete", "token", token_id, before=_noted(_grant(row)))
            )
    return row is not None


async def list_tokens(
    database: Database, limit: int, after: tuple[datetime, str] | None = None
) -> list[StoredToken]:
    """Tokens, revoked ones included, oldest first, from after the one made then with this id."""
    made, token_id = after or (None, None)
    async with database.unhurried() as connection:
        rows = await connection.fetch(_LIST, limit, made, token_id)
    return [_stored(row) for row in rows]


async def get_token(database: Database, token_id: str) -> StoredToken | None:
    """One token, None when there is none of this id."""
    async with database.unhurried() as connection:
        row = await connection.fetchrow(_GET, token_id)
    return None if row is None else _stored(row)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class TokenStore:
    """The good tokens in memory, at most a second old; while the database is away, as they were.

    ``processes`` share the rate limits evenly.
    """

    def __init__(
        self,
        database: Database,
        *,
        processes: int = 1,
        now: Callable[[], datetime] = _utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._processes = processes
        self._now = now
        self._monotonic = monotonic
        self._grants: Mapping[bytes, tuple[bytes, TokenGrant]] | None = None
        self._throttles: dict[str, Throttle] = {}
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
        if grant is None or not hmac.compare_digest(stored, presented):
            return None
        expired = grant.expires_at is not None and grant.expires_at <= self._now()
        return None if expired else grant

    def wait_s(self, token_id: str) -> float:
        """How long a token must wait before it may ask, in seconds.

        0: not at all, and this request counts against its limit.
        """
        throttle = self._throttles.get(token_id)
        return 0.0 if throttle is None else throttle.wait_s(self._monotonic())

    async def _refresh(self, _: int) -> None:
        async with self._database.connection() as connection:
            rows = await connection.fetch(_VALID)
        grants = {row["hash"]: _grant(row) for row in rows}
        self._grants = {key[:_INDEX_BYTES]: (key, grant) for key, grant in grants.items()}
        self._throttles = {
            grant.id: self._throttles.get(grant.id)
            or Throttle(grant.rate_limit.divided(self._processes))
            for grant in grants.values()
            if grant.rate_limit is not None
        }


def hash_token(token: str) -> bytes:
    """What is kept of a token: its SHA-256. Any text has one."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _stored(row: asyncpg.Record) -> StoredToken:
    return StoredToken(_grant(row), row["created_at"], row["revoked_at"])


def _grant(row: asyncpg.Record) -> TokenGrant:
    per_second = row["rate_per_second"]
    return TokenGrant(
        row["id"],
        row["name"],
        frozenset(row["scopes"]),
        row["buyer"],
        row["source"],
        row["switch"],
        None if per_second is None else RateLimit(per_second, row["rate_burst"]),
        row["expires_at"],
    )
