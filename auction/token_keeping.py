"""Tokens as the API makes, lists and revokes them."""

from collections.abc import Sequence

from auction.web.management.handlers import FROM_API
from auction.web.paging import Place
from auction.web.token_requests import TokenRequest
from storage.audit import Actor
from storage.catalogue_items import BUYER, SOURCE
from storage.database import Database
from storage.managing import read_item
from storage.tokens import (
    NewToken,
    StoredToken,
    create_token,
    get_token,
    list_tokens,
    revoke_token,
)


class TokenKeeping:
    """See ``auction.web.tokens.TokenKeeping``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def strangers(self, asked: TokenRequest) -> Sequence[str]:
        """Those of its kinds that are not there. Raises StorageUnavailableError."""
        named = {BUYER: asked.buyer, SOURCE: asked.source}
        return [
            kind
            for kind, name in named.items()
            if name is not None and await read_item(self._database, kind, name) is None
        ]

    async def create(self, asked: TokenRequest, by: str) -> NewToken:
        """Make a token. Raises StorageUnavailableError."""
        return await create_token(
            self._database,
            asked.name,
            asked.scopes,
            buyer=asked.buyer,
            source=asked.source,
            switch=asked.switch,
            rate_limit=asked.limit(),
            expires_at=asked.expires_at,
            by=Actor(FROM_API, by),
        )

    async def list(self, limit: int, after: Place | None) -> Sequence[StoredToken]:
        """Tokens in the order they were made. Raises StorageUnavailableError."""
        return await list_tokens(self._database, limit, after)

    async def get(self, token_id: str) -> StoredToken | None:
        """One token, None when there is none. Raises StorageUnavailableError."""
        return await get_token(self._database, token_id)

    async def revoke(self, token_id: str, by: str) -> bool:
        """Make it useless. Raises StorageUnavailableError."""
        return await revoke_token(self._database, token_id, Actor(FROM_API, by))
