"""Webhook events that were given up: listed, and sent again."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

import orjson
from aiohttp import hdrs, web

from auction.web import problems
from auction.web.authentication import MAY_MANAGE, unbound
from auction.web.paging import known_only, read_limit, read_place, write_place
from auction.web.problems import CallerMistakeError
from auction.web.services import Tokens

_JSON: Final = {hdrs.CONTENT_TYPE: "application/json"}
_PAGED: Final = frozenset({"limit", "after"})
_EVENT_ID: Final = re.compile("[0-9a-f]{32}")


class Letter(Protocol):
    """An event that was given up."""

    @property
    def event_id(self) -> str:
        """Its identifier."""

    @property
    def owner(self) -> str:
        """``campaign:<id>`` or ``buyer:<id>``."""

    @property
    def webhook(self) -> str:
        """The webhook's id."""

    @property
    def event(self) -> str:
        """What it tells."""

    @property
    def call_id(self) -> str:
        """Of which call."""

    @property
    def at(self) -> datetime:
        """When it happened."""

    @property
    def tries(self) -> int:
        """How often it was sent."""

    @property
    def last_error(self) -> str | None:
        """Why it was not delivered."""

    @property
    def died_at(self) -> datetime:
        """When it was given up."""


class DeadLetters(Protocol):
    """Where they are kept; both raise StorageUnavailableError."""

    async def dead_letters(
        self, limit: int, after: tuple[datetime, str] | None = None
    ) -> Sequence[Letter]:
        """The newest first, from after the one that died then with this event id."""

    async def resend(self, event_id: str) -> bool:
        """Try one again; False when there is none of this id."""


class DeadLetterHandlers:
    """The handlers under ``/v1/webhooks/dead-letters``."""

    def __init__(self, letters: DeadLetters, tokens: Tokens) -> None:
        self._letters = letters
        self._tokens = tokens

    async def list(self, request: web.Request) -> web.Response:
        """``GET``: what was given up, the newest first; ``next`` goes into ``after``."""
        await unbound(request, self._tokens, MAY_MANAGE)
        known_only(request, _PAGED)
        limit, after = read_limit(request.query), read_place(request.query, _EVENT_ID)
        found = await self._letters.dead_letters(limit + 1, after)
        page = found[:limit]
        more = write_place((page[-1].died_at, page[-1].event_id)) if len(found) > limit else None
        return _json(200, {"dead_letters": [_shown(each) for each in page], "next": more})

    async def resend(self, request: web.Request) -> web.Response:
        """``POST …/{event_id}/resend``: it is tried for another 24 hours."""
        await unbound(request, self._tokens, MAY_MANAGE)
        event_id = request.match_info["event_id"]
        if not _EVENT_ID.fullmatch(event_id) or not await self._letters.resend(event_id):
            raise CallerMistakeError(
                problems.NOT_FOUND, "There is no dead letter with this event_id."
            )
        return _json(202, {"event_id": event_id, "state": "pending"})


def _shown(letter: Letter) -> dict[str, object]:
    return {
        "event_id": letter.event_id,
        "owner": letter.owner,
        "webhook": letter.webhook,
        "event": letter.event,
        "call_id": letter.call_id,
        "at": _instant(letter.at),
        "tries": letter.tries,
        "last_error": letter.last_error,
        "died_at": _instant(letter.died_at),
    }


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json(status: int, content: dict[str, object]) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(content), headers=_JSON)
