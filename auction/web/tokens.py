"""The handlers under ``/v1/tokens``."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

import orjson
from aiohttp import hdrs, web

from auction.domain.throttle import RateLimit
from auction.ports import Clock
from auction.web import problems
from auction.web.authentication import Scope, granted_to_manage
from auction.web.bodies import MAX_BODY_BYTES, expecting, read_object
from auction.web.management.requests import actor_of
from auction.web.paging import Place, known_only, read_limit, read_place, write_place
from auction.web.problems import CallerMistakeError, Fault, invalid
from auction.web.services import Grant, Tokens
from auction.web.token_requests import TokenRequest, read_token_request

_PAGED: Final = frozenset({"limit", "after"})
_TOKEN_ID: Final = re.compile("tok_[0-9a-f]{16}")
_JSON: Final = {hdrs.CONTENT_TYPE: "application/json", hdrs.CACHE_CONTROL: "no-store"}


class NarrowGrant(Grant, Protocol):
    """A grant with all that was said when its token was made."""

    @property
    def rate_limit(self) -> RateLimit | None:
        """How much it may ask; None: as much as it likes."""

    @property
    def expires_at(self) -> datetime | None:
        """Until when it is good; None: until it is revoked."""


class Listed(Protocol):
    """A token as it is kept."""

    @property
    def grant(self) -> NarrowGrant:
        """What it allows."""

    @property
    def created_at(self) -> datetime:
        """When it was made."""

    @property
    def revoked_at(self) -> datetime | None:
        """When it was revoked, None while it was not."""


class Made(Protocol):
    """A token just made."""

    @property
    def grant(self) -> NarrowGrant:
        """What it allows."""

    @property
    def created_at(self) -> datetime:
        """When it was made."""

    @property
    def token(self) -> str:
        """Its text, which is known at this moment only."""


class TokenKeeping(Protocol):
    """Where tokens are kept; all raise StorageUnavailableError. ``by`` is who asked."""

    async def strangers(self, asked: TokenRequest) -> Sequence[str]:
        """Which of ``buyer`` and ``source`` name nothing of the marketplace."""

    async def create(self, asked: TokenRequest, by: str) -> Made:
        """Make a token."""

    async def list(self, limit: int, after: Place | None) -> Sequence[Listed]:
        """Tokens in the order they were made."""

    async def get(self, token_id: str) -> Listed | None:
        """One token, None when there is none of this id."""

    async def revoke(self, token_id: str, by: str) -> bool:
        """Make it useless; False when there is none or it was revoked before."""


class TokenHandlers:
    """Making, listing and revoking tokens."""

    def __init__(self, keeping: TokenKeeping, tokens: Tokens, clock: Clock) -> None:
        self._keeping = keeping
        self._tokens = tokens
        self._clock = clock

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the routes."""
        path = "/v1/tokens/{token_id:[^/]+}"
        router.add_post("/v1/tokens", self.create, expect_handler=expecting(MAX_BODY_BYTES))
        router.add_get("/v1/tokens", self.list)
        router.add_get(path, self.show)
        router.add_delete(path, self.revoke)

    async def create(self, request: web.Request) -> web.Response:
        """``POST``: the only answer that has the token's text."""
        grant = await granted_to_manage(request, self._tokens)
        asked = read_token_request(await read_object(request), self._clock.now())
        if Scope.PII in asked.scopes and Scope.PII not in grant.scopes:
            raise CallerMistakeError(
                problems.FORBIDDEN, "A token with scope pii is made by one that has it."
            )
        await self._check_known(asked)
        made = await self._keeping.create(asked, actor_of(grant))
        content = _shown(made.grant, made.created_at, None)
        headers = {**_JSON, hdrs.LOCATION: f"/v1/tokens/{made.grant.id}"}
        body = orjson.dumps({**content, "token": made.token})
        return web.Response(status=201, body=body, headers=headers)

    async def list(self, request: web.Request) -> web.Response:
        """``GET``: revoked ones included; ``next`` goes into ``after``."""
        await granted_to_manage(request, self._tokens)
        known_only(request, _PAGED)
        limit, after = read_limit(request.query), read_place(request.query, _TOKEN_ID)
        found = await self._keeping.list(limit + 1, after)
        page = found[:limit]
        more = (page[-1].created_at, page[-1].grant.id) if len(found) > limit else None
        shown = [_shown(each.grant, each.created_at, each.revoked_at) for each in page]
        content = {"tokens": shown, "next": more and write_place(more)}
        return web.Response(body=orjson.dumps(content), headers=_JSON)

    async def show(self, request: web.Request) -> web.Response:
        """``GET`` of one."""
        await granted_to_manage(request, self._tokens)
        found = await self._keeping.get(request.match_info["token_id"])
        if found is None:
            raise _unknown()
        content = _shown(found.grant, found.created_at, found.revoked_at)
        return web.Response(body=orjson.dumps(content), headers=_JSON)

    async def revoke(self, request: web.Request) -> web.Response:
        """``DELETE``: it is useless everywhere within a second; repeating it changes nothing."""
        grant = await granted_to_manage(request, self._tokens)
        token_id = request.match_info["token_id"]
        revoked = await self._keeping.revoke(token_id, actor_of(grant))
        if not revoked and await self._keeping.get(token_id) is None:
            raise _unknown()
        return web.Response(status=204)

    async def _check_known(self, asked: TokenRequest) -> None:
        if strangers := await self._keeping.strangers(asked):
            raise invalid(*(Fault(key, f"names a {key} that is not there") for key in strangers))


def _unknown() -> CallerMistakeError:
    return CallerMistakeError(problems.NOT_FOUND, "There is no token with this id.")


def _shown(
    grant: NarrowGrant, created_at: datetime, revoked_at: datetime | None
) -> dict[str, object]:
    limit = grant.rate_limit
    return {
        "id": grant.id,
        "name": grant.name,
        "scopes": sorted(grant.scopes),
        "buyer": grant.buyer,
        "source": grant.source,
        "switch": grant.switch,
        "rate_limit": limit and {"per_second": limit.per_second, "burst": limit.burst},
        "expires_at": _instant(grant.expires_at),
        "created_at": _instant(created_at),
        "revoked_at": _instant(revoked_at),
    }


def _instant(at: datetime | None) -> str | None:
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
