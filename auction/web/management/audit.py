"""``GET /v1/audit``: who changed what and when."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from auction.web.authentication import MAY_VIEW, unbound
from auction.web.call_request import Identifier
from auction.web.faults import OWN
from auction.web.list_request import A_TEXT, Limit, Moment, in_order
from auction.web.management.answers import json_answer, written
from auction.web.management.fragments import shown
from auction.web.management.masking import shown_to
from auction.web.management.places import read_place, write_place
from auction.web.management.requests import read_query
from auction.web.management.resources import BY_KIND
from auction.web.services import Grant, Tokens
from storage.audit import BEGINNING, END, AuditEntry, AuditPlace, AuditWanted, read_audit
from storage.catalogue_items import MARKETPLACE, CatalogueItem
from storage.database import Database


def _place(value: object) -> AuditPlace:
    place = read_place(str(value))
    if place is None:
        raise PydanticCustomError(OWN, "must be the next of an earlier page")
    return AuditPlace(*place)


class AuditRequest(BaseModel):
    """The query. Dates mean midnight UTC; ``actor``: a token's id, or all of what is shown."""

    model_config = ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True)

    since: Moment = Field(BEGINNING, alias="from")
    until: Moment = Field(END, alias="to")
    kind: Identifier | None = None
    id: Identifier | None = None
    actor: Annotated[Identifier | None, Field(description="name (id), id, or file NAME")] = None
    limit: Limit = 100
    after: Annotated[AuditPlace, BeforeValidator(_place), A_TEXT] | None = None


class AuditHandlers:
    """The handler of the log."""

    def __init__(self, database: Database, tokens: Tokens) -> None:
        self._database = database
        self._tokens = tokens

    async def list(self, request: web.Request) -> web.Response:
        """``GET``: the newest first; ``next`` goes into ``after``."""
        grant = await unbound(request, self._tokens, MAY_VIEW)
        asked = read_query(AuditRequest, request.query)
        in_order(asked.since, asked.until)
        wanted = AuditWanted(
            limit=asked.limit + 1,
            before=asked.after or AuditPlace(),
            kind=asked.kind,
            id=asked.id,
            actor=asked.actor,
            since=asked.since,
            until=asked.until,
        )
        found = await read_audit(self._database, wanted)
        page = found[: asked.limit]
        more = _more(page[-1].place) if len(found) > asked.limit else None
        # A thousand objects take a while; calls go on being decided meanwhile.
        return await asyncio.to_thread(_page, grant, page, more)


def _page(grant: Grant, page: Sequence[AuditEntry], more: str | None) -> web.Response:
    return json_answer(200, {"entries": [_shown(grant, each) for each in page], "next": more})


def _more(place: AuditPlace) -> str:
    return write_place(place.at, place.within)


def _shown(grant: Grant, entry: AuditEntry) -> dict[str, object]:
    return {
        "at": written(entry.place.at),
        "actor": entry.actor,
        "origin": entry.origin,
        "revision": entry.revision,
        "kind": entry.kind,
        "id": entry.id,
        "action": entry.action,
        "before": _document(grant, entry, entry.before),
        "after": _document(grant, entry, entry.after),
        "note": entry.note,
    }


def _document(
    grant: Grant, entry: AuditEntry, item: CatalogueItem | None
) -> dict[str, object] | None:
    if item is None:
        return None
    if entry.revision is None:
        return _noted(grant, entry.kind, item.document)
    if item.kind == MARKETPLACE:
        return {key: value for key, value in item.document.items() if value != []}
    resource = BY_KIND.get(item.kind)
    document = item.document if resource is None else shown(resource, item)
    return shown_to(grant, item.kind, document)


def _noted(grant: Grant, kind: str, document: Mapping[str, object]) -> dict[str, object]:
    """What was noted beside the marketplace, such as a change that is to wait."""
    patch = document.get("patch")
    if not isinstance(patch, Mapping):
        return dict(document)
    return {**document, "patch": shown_to(grant, kind, patch)}
