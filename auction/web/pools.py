"""The handlers of ``/v1/pools/{id}/lease`` and below: numbers for the visitors of a page."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Final, Protocol

import orjson
from aiohttp import hdrs, web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from auction.domain.call import FieldValue
from auction.domain.ids import PoolId, SourceId
from auction.domain.leases import Exhausted, Leased, LeaseRequest
from auction.domain.numbers import PoolTerms
from auction.domain.terms import Catalogue
from auction.web import problems
from auction.web.authentication import MAY_READ, MAY_REPORT, granted
from auction.web.bodies import MAX_BODY_BYTES, JsonObject, expecting, read_object
from auction.web.call_request import Identifier, Name, field_value, present
from auction.web.faults import faults_of
from auction.web.in_force import TermsInForce
from auction.web.problems import CallerMistakeError, Fault, invalid
from auction.web.services import Grant, Tokens

MOST_TAGS: Final = 64

_JSON: Final = {hdrs.CONTENT_TYPE: "application/json", hdrs.CACHE_CONTROL: "no-store"}


class Leases(Protocol):
    """Where numbers are lent."""

    async def lease(
        self, pool: PoolTerms, request: LeaseRequest, lendable: Mapping[SourceId, int]
    ) -> Leased | Exhausted:
        """The visitor's number. Raises StorageUnavailableError."""

    async def heartbeat(self, pool: PoolTerms, session_id: str) -> Leased | None:
        """The lease kept, None when it is over. Raises StorageUnavailableError."""

    async def give_back(self, pool: PoolTerms, session_id: str) -> bool:
        """End a lease; False when there is none. Raises StorageUnavailableError."""


class LeaseBody(BaseModel):
    """The body. ``source`` by default the pool's; tags as the fields of a call."""

    model_config = ConfigDict(strict=True, extra="forbid")

    session_id: Identifier
    source: Name | None = None
    tags: (
        Annotated[
            dict[Identifier, Annotated[object, AfterValidator(field_value)]],
            Field(max_length=MOST_TAGS),
        ]
        | None
    ) = None


class PoolHandlers:
    """Lends numbers, keeps them lent, takes them back."""

    def __init__(self, leases: Leases, terms: TermsInForce, tokens: Tokens) -> None:
        self._leases = leases
        self._terms = terms
        self._tokens = tokens

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the routes."""
        pool = "/v1/pools/{id:[^/]+}"
        lease = pool + "/leases/{session_id:[^/]+}"
        expect = expecting(MAX_BODY_BYTES)
        router.add_post(f"{pool}/lease", self.lease, expect_handler=expect)
        router.add_post(f"{lease}/heartbeat", self.heartbeat, expect_handler=expect)
        router.add_delete(lease, self.give_back)

    async def lease(self, request: web.Request) -> web.Response:
        """A number for a visitor; the fallback number where there is none to lend."""
        grant, pool, catalogue = await self._authorise(request)
        asked = read_lease(await read_object(request))
        source = _source(asked.source, grant)
        wanted = LeaseRequest(asked.session_id, source, _tags(asked))
        answer = await self._leases.lease(pool, wanted, catalogue.lendable)
        return _json(_render(pool, asked.session_id, answer))

    async def heartbeat(self, request: web.Request) -> web.Response:
        """The visitor is still there."""
        _, pool, _ = await self._authorise(request)
        session_id = request.match_info["session_id"]
        kept = await self._leases.heartbeat(pool, session_id)
        if kept is None:
            raise CallerMistakeError(
                problems.NOT_FOUND, "This session has no number any more; lease another."
            )
        return _json(_render(pool, session_id, kept))

    async def give_back(self, request: web.Request) -> web.Response:
        """The visitor is gone; repeats change nothing."""
        _, pool, _ = await self._authorise(request)
        await self._leases.give_back(pool, request.match_info["session_id"])
        return web.Response(status=204)

    async def _authorise(self, request: web.Request) -> tuple[Grant, PoolTerms, Catalogue]:
        """Raises CallerMistakeError: 401, 403, 404, 429."""
        grant = await granted(request, self._tokens, MAY_READ)
        asked = PoolId(request.match_info["id"])
        catalogue = await self._terms.having(lambda terms: asked in terms.pools)
        pool = catalogue.pools.get(asked)
        if not _may_lease(grant, pool):
            raise CallerMistakeError(
                problems.FORBIDDEN,
                "A token with scope calls or admin is needed, or one of the pool's source.",
            )
        if pool is None:
            raise CallerMistakeError(problems.NOT_FOUND, "There is no pool of this id.")
        return grant, pool, catalogue


def read_lease(body: JsonObject) -> LeaseBody:
    """The request, validated. Raises CallerMistakeError (422)."""
    try:
        return LeaseBody.model_validate(body)
    except ValidationError as error:
        raise invalid(*faults_of(error)) from None


def _tags(asked: LeaseBody) -> Mapping[str, FieldValue] | None:
    """None where nothing is said of them: a page that is loaded again may not know them."""
    return None if asked.tags is None else present(asked.tags)


def _may_lease(grant: Grant, pool: PoolTerms | None) -> bool:
    if grant.buyer is not None:
        return False
    if grant.source is not None:
        return pool is not None and pool.source == grant.source
    return not MAY_REPORT.isdisjoint(grant.scopes)


def _source(named: str | None, grant: Grant) -> SourceId | None:
    """Whose visitor it is. Raises CallerMistakeError (422) when it is not the token's."""
    if grant.source is not None and named not in (None, "", grant.source):
        raise invalid(Fault("source", "is not the source of this token"))
    return SourceId(named) if named else None


def _render(pool: PoolTerms, session_id: str, answer: Leased | Exhausted) -> dict[str, object]:
    lent = isinstance(answer, Leased)
    return {
        "pool": pool.id,
        "session_id": session_id,
        "number": answer.number if isinstance(answer, Leased) else pool.fallback_number,
        "fallback": not lent,
        "reason": answer.value if isinstance(answer, Exhausted) else None,
        "expires_at": _instant(answer.expires_at) if isinstance(answer, Leased) else None,
        "heartbeat_s": pool.heartbeat_s if lent else None,
    }


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json(content: Mapping[str, object]) -> web.Response:
    return web.Response(body=orjson.dumps(content), headers=_JSON)
