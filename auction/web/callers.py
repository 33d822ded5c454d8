"""The handlers of ``/v1/callers/{number}``: what is kept of a caller, told or taken away."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import orjson
from aiohttp import hdrs, web

from auction.domain.call_record import CallRecord
from auction.domain.ids import CallId, SuppressionId
from auction.domain.phone import mask, normalise_number
from auction.web import problems
from auction.web.authentication import Scope, granted_to_manage
from auction.web.call_request import LONGEST_NAME
from auction.web.management.requests import actor_of
from auction.web.paging import BAD_PLACE, known_only, read_limit
from auction.web.problems import CallerMistakeError, Fault, invalid
from auction.web.record_view import View, render_cdr, render_history
from auction.web.services import ApiServices

MOST: Final = 500
MOST_SHOWN: Final = 1000

_PAGED: Final = frozenset({"limit", "after"})
_JSON: Final = {hdrs.CONTENT_TYPE: "application/json", hdrs.CACHE_CONTROL: "no-store"}
_NEEDED: Final[frozenset[str]] = frozenset({Scope.ADMIN, Scope.PII})
_OWN_NOTHING: Final[frozenset[str]] = frozenset()
_EVERYTHING: Final = View(buyer=None, source=None, unmasked=True)


class TakenAway(Protocol):
    """What was done to a caller's data."""

    @property
    def rows(self) -> Mapping[str, int]:
        """Rows that were changed or deleted, by table."""

    @property
    def in_use(self) -> Sequence[CallId]:
        """Calls that could not be touched yet."""


class CallerData(Protocol):
    """Where callers' data is found by the hash of their number."""

    async def calls(self, caller_hash: bytes, after: CallId | None, limit: int) -> Sequence[CallId]:
        """A caller's calls by id. Raises StorageUnavailableError."""

    async def erase(self, number: str, caller_hash: bytes, by: str) -> TakenAway:
        """Take away what tells of the caller, asked by ``by``. Raises StorageUnavailableError."""


class CallerLists(Protocol):
    """Which lists a caller is on."""

    async def lists_of(self, caller_hash: bytes) -> Sequence[SuppressionId]:
        """By name. Raises StorageUnavailableError."""


class Blocklists(Protocol):
    """The campaigns that name a number in their own blocklist."""

    def __call__(self, number: str) -> Sequence[str]: ...


class Hashing(Protocol):
    """How callers are hashed."""

    def __call__(self, number: str) -> bytes: ...


@dataclass(frozen=True, slots=True)
class CallerServices:
    """What is kept of callers, and where."""

    data: CallerData
    lists: CallerLists
    blocklists: Blocklists
    keyed: Hashing


class CallerHandlers:
    """What a caller may ask for, asked by an operator with scopes ``admin`` and ``pii``."""

    def __init__(self, services: ApiServices, callers: CallerServices) -> None:
        self._services = services
        self._callers = callers

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the routes."""
        router.add_get("/v1/callers/{number:[^/]+}", self.export)
        router.add_delete("/v1/callers/{number:[^/]+}", self.erase)

    async def export(self, request: web.Request) -> web.Response:
        """``GET``: everything that is kept of a caller, page by page."""
        await granted_to_manage(request, self._services.tokens, needed=_NEEDED)
        known_only(request, _PAGED)
        number, limit = self._number(request), read_limit(request.query, MOST)
        after = _after(request)
        caller_hash = self._callers.keyed(number)
        found = await self._callers.data.calls(caller_hash, after, limit + 1)
        page = found[:limit]
        if after is not None and not found:
            await self._check_place(after)
        calls = [each for call_id in page if (each := await self._shown(call_id)) is not None]
        content = {
            "caller": number,
            **await self._kept(number, caller_hash),
            "calls": calls,
            "next": page[-1] if len(found) > limit else None,
        }
        return web.Response(body=orjson.dumps(content), headers=_JSON)

    async def erase(self, request: web.Request) -> web.Response:
        """``DELETE``: what tells of the caller is taken away; repeating it changes nothing."""
        grant = await granted_to_manage(request, self._services.tokens, needed=_NEEDED)
        known_only(request, frozenset())
        number = self._number(request)
        caller_hash = self._callers.keyed(number)
        erased = await self._callers.data.erase(number, caller_hash, actor_of(grant))
        content = {
            "caller": mask(number),
            "erased": {table: count for table, count in sorted(erased.rows.items()) if count},
            "in_use": erased.in_use[:MOST_SHOWN],
            "in_use_count": len(erased.in_use),
            "kept": await self._kept(number, caller_hash),
        }
        return web.Response(body=orjson.dumps(content), headers=_JSON)

    async def _check_place(self, after: CallId) -> None:
        """Raises CallerMistakeError (422) where no page can have ended so."""
        if await self._services.records.get_call(after) is None:
            raise invalid(Fault("after", BAD_PLACE))

    async def _kept(self, number: str, caller_hash: bytes) -> dict[str, object]:
        """What is kept so that the caller is left alone."""
        lists = await self._callers.lists.lists_of(caller_hash)
        blocklists = self._callers.blocklists(number)
        return {"suppressions": list(lists), "caller_blocklists": list(blocklists)}

    async def _shown(self, call_id: CallId) -> dict[str, object] | None:
        record = await self._services.records.get_call(call_id)
        if record is None:
            return None
        entries = await self._services.records.get_entries(call_id)
        return {
            "cdr": render_cdr(record, _EVERYTHING, _OWN_NOTHING),
            "fields": dict(record.call.fields),
            "conversions": render_history(entries, record, _EVERYTHING, _OWN_NOTHING),
            "traces": _traces(record),
        }

    def _number(self, request: web.Request) -> str:
        country = self._services.default_country()
        number = normalise_number(request.match_info["number"], country)
        if number is None:
            raise CallerMistakeError(problems.NOT_FOUND, "This is no phone number.")
        return number


def _traces(record: CallRecord) -> int:
    """How many decisions are recorded; ``GET /v1/calls/{call_id}`` shows them."""
    return len(record.later_traces) + (record.trace is not None)


def _after(request: web.Request) -> CallId | None:
    text = request.query.get("after")
    if text is not None and (len(text) > LONGEST_NAME or "\0" in text):
        raise invalid(Fault("after", BAD_PLACE))
    return None if text is None else CallId(text)
