"""``/v1/scheduled-changes``: changes that wait for their time, listed and cancelled."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final, Literal

from aiohttp import hdrs, web
from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic_core import PydanticCustomError

from auction.ports import Clock
from auction.web import problems
from auction.web.authentication import MAY_MANAGE, MAY_VIEW, unbound
from auction.web.call_request import Identifier
from auction.web.event_request import read_instant
from auction.web.faults import OWN
from auction.web.list_request import A_TEXT, Limit
from auction.web.management import changing
from auction.web.management.answers import json_answer, written
from auction.web.management.fragments import shown_patch, unwrap, wrap
from auction.web.management.masking import masked, shown_to
from auction.web.management.places import read_place, write_place
from auction.web.management.requests import actor_of, read_query
from auction.web.management.resources import BY_KIND, Resource
from auction.web.paging import known_only
from auction.web.problems import CallerMistakeError, Fault, invalid
from auction.web.services import Grant, Tokens
from config.sealing import seal_given
from config.secret_box import SecretBox
from storage.audit import Note, add_note
from storage.catalogue import About
from storage.database import Database
from storage.managing import CatalogueChange, HeldItem
from storage.scheduling import (
    ScheduledChange,
    ScheduledWanted,
    add_scheduled,
    cancel_scheduled,
    count_pending,
    get_scheduled,
    list_scheduled,
)

FROM_SCHEDULE: Final = "schedule"
PATH: Final = "/v1/scheduled-changes"
MOST_PENDING: Final = 10_000

_UNKNOWN: Final = "There is no scheduled change of this id."


def _after(value: object) -> tuple[datetime, str]:
    place = read_place(str(value))
    if place is None:
        raise PydanticCustomError(OWN, "must be the next of an earlier page")
    return place


class ScheduledRequest(BaseModel):
    """The query of the list."""

    model_config = ConfigDict(strict=True, extra="forbid")

    state: Literal["pending", "applied", "failed", "cancelled"] | None = None
    kind: Identifier | None = None
    item: Identifier | None = None
    limit: Limit = 100
    after: Annotated[tuple[datetime, str], BeforeValidator(_after), A_TEXT] | None = None


def read_effective_at(request: web.Request, clock: Clock) -> datetime | None:
    """When a patch is to take effect; None: now. Raises CallerMistakeError: 422."""
    text = request.query.get("effective_at")
    if text is None:
        return None
    at = read_instant(text)
    if at is None:
        message = "must be an RFC 3339 time with a zone (a + is written %2B)"
        raise invalid(Fault("effective_at", message))
    if at <= clock.now():
        raise invalid(Fault("effective_at", "lies in the past: leave it out to change it now"))
    return at


async def schedule(
    change: CatalogueChange,
    resource: Resource,
    held: HeldItem,
    patch: Mapping[str, object],
    box: SecretBox,
    effective_at: datetime,
    actor: str,
) -> ScheduledChange:
    """Have a patch wait that would be taken now. Raises CallerMistakeError: 422."""
    about = About(FROM_SCHEDULE, actor)
    await changing.rehearse(change, changing.patched(resource, held, patch), box, about)
    if await count_pending(change.connection) >= MOST_PENDING:
        raise invalid(Fault("effective_at", f"{MOST_PENDING} changes wait already"))
    sealed = unwrap(resource, seal_given(wrap(resource, patch, held.item.parent), box))
    waiting = await add_scheduled(
        change.connection, resource.kind, held.item.id, sealed, effective_at, actor
    )
    note = Note("api", actor, resource.kind, held.item.id, "schedule", None, _noted(waiting))
    await add_note(change.connection, note)
    return waiting


def accepted(waiting: ScheduledChange, grant: Grant) -> web.Response:
    """The answer to a patch that waits."""
    response = json_answer(202, _shown_to(grant, waiting))
    response.headers[hdrs.LOCATION] = f"{PATH}/{waiting.id}"
    return response


class ScheduleHandlers:
    """Lists, shows and cancels what waits."""

    def __init__(self, database: Database, tokens: Tokens) -> None:
        self._database = database
        self._tokens = tokens

    async def list(self, request: web.Request) -> web.Response:
        """``GET``: in the order in which they take effect; ``next`` goes into ``after``."""
        grant = await unbound(request, self._tokens, MAY_VIEW)
        asked = read_query(ScheduledRequest, request.query)
        wanted = ScheduledWanted(asked.limit + 1, asked.after, asked.state, asked.kind, asked.item)
        found = await list_scheduled(self._database, wanted)
        page = found[: asked.limit]
        last = page[-1] if len(found) > asked.limit else None
        more = None if last is None else write_place(last.effective_at, last.id)
        shown_changes = [_shown_to(grant, each) for each in page]
        return json_answer(200, {"scheduled_changes": shown_changes, "next": more})

    async def show(self, request: web.Request) -> web.Response:
        """``GET``: one of them."""
        grant = await unbound(request, self._tokens, MAY_VIEW)
        known_only(request, frozenset())
        return json_answer(200, _shown_to(grant, await self._find(request)))

    async def cancel(self, request: web.Request) -> web.Response:
        """``DELETE``: it never takes effect; it stays listed."""
        grant = await unbound(request, self._tokens, MAY_MANAGE)
        known_only(request, frozenset())
        found = await self._find(request)
        async with self._database.transaction() as connection:
            cancelled = await cancel_scheduled(connection, found.id)
            if cancelled is None:
                message = "It does not wait any more: it was applied, has failed or was cancelled."
                raise CallerMistakeError(problems.SETTLED, message)
            about = ("api", actor_of(grant), found.kind, found.item_id, "cancel")
            await add_note(connection, Note(*about, None, _noted(cancelled)))
        return json_answer(200, _shown_to(grant, cancelled))

    async def _find(self, request: web.Request) -> ScheduledChange:
        identifier = request.match_info["id"]
        found = await get_scheduled(self._database, identifier) if _usable(identifier) else None
        if found is None:
            raise CallerMistakeError(problems.NOT_FOUND, _UNKNOWN)
        return found


def _usable(identifier: str) -> bool:
    return len(identifier) <= 64 and identifier.isprintable()


def _shown_to(grant: Grant, waiting: ScheduledChange) -> dict[str, object]:
    return _shown(waiting, shown_to(grant, waiting.kind, _patch(waiting)))


def _noted(waiting: ScheduledChange) -> dict[str, object]:
    """As it stands in the audit log, of which no caller can be taken out."""
    return _shown(waiting, masked(waiting.kind, _patch(waiting)))


def _patch(waiting: ScheduledChange) -> dict[str, object]:
    resource = BY_KIND.get(waiting.kind)
    patch: dict[str, object] = json.loads(waiting.patch)
    return patch if resource is None else shown_patch(resource, patch, waiting.item_id)


def _shown(waiting: ScheduledChange, patch: Mapping[str, object]) -> dict[str, object]:
    return {
        "id": waiting.id,
        "kind": waiting.kind,
        "item": waiting.item_id,
        "patch": patch,
        "effective_at": written(waiting.effective_at),
        "actor": waiting.actor,
        "created_at": written(waiting.created_at),
        "state": waiting.state,
        "settled_at": None if waiting.settled_at is None else written(waiting.settled_at),
        "revision": waiting.revision,
        "error": waiting.error,
    }
