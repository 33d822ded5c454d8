"""``GET /v1/audit``: who changed what and when."""

import base64
import binascii
import re
from datetime import UTC, datetime
from typing import Annotated, Final

from aiohttp import web
from multidict import MultiMapping
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from auction.web.authentication import MAY_VIEW, unbound
from auction.web.call_request import Identifier
from auction.web.faults import OWN, faults_of
from auction.web.list_request import Limit, Moment
from auction.web.management.answers import json_answer, written
from auction.web.management.fragments import shown
from auction.web.management.resources import BY_KIND
from auction.web.problems import Fault, invalid
from auction.web.services import Tokens
from storage.audit import BEGINNING, END, AuditEntry, AuditPlace, AuditWanted, read_audit
from storage.catalogue_items import MARKETPLACE, CatalogueItem
from storage.database import Database

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{4,400}", re.ASCII)


def write_place(place: AuditPlace) -> str:
    """A place as an opaque url-safe text."""
    text = f"{place.at.astimezone(UTC).isoformat()} {place.within}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _place(value: object) -> AuditPlace:
    text = str(value)
    wrong = PydanticCustomError(OWN, "must be the next of an earlier page")
    if _TOKEN.fullmatch(text) is None:
        raise wrong
    try:
        plain = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        at, _, within = plain.decode().partition(" ")
        place = AuditPlace(datetime.fromisoformat(at), within)
    except (binascii.Error, ValueError):
        raise wrong from None
    if place.at.tzinfo is None or not within.isprintable():
        raise wrong
    return place


class AuditRequest(BaseModel):
    """The query. Dates mean midnight UTC; ``actor``: a token's id, or all of what is shown."""

    model_config = ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True)

    since: Moment = Field(BEGINNING, alias="from")
    until: Moment = Field(END, alias="to")
    kind: Identifier | None = None
    id: Identifier | None = None
    actor: Annotated[Identifier | None, Field(description="name (id), id, or file NAME")] = None
    limit: Limit = 100
    after: Annotated[AuditPlace, BeforeValidator(_place)] = AuditPlace()


def read_audit_request(query: MultiMapping[str]) -> AuditRequest:
    """The query, validated. Raises CallerMistakeError: 422."""
    twice = [Fault(name, "must be given once") for name in query if len(query.getall(name)) > 1]
    if twice:
        raise invalid(twice[0])
    try:
        return AuditRequest.model_validate(dict(query))
    except ValidationError as error:
        raise invalid(*faults_of(error)) from None


class AuditHandlers:
    """The handler of the log."""

    def __init__(self, database: Database, tokens: Tokens) -> None:
        self._database = database
        self._tokens = tokens

    async def list(self, request: web.Request) -> web.Response:
        """``GET``: the newest first; ``next`` goes into ``after``."""
        await unbound(request, self._tokens, MAY_VIEW)
        asked = read_audit_request(request.query)
        wanted = AuditWanted(
            limit=asked.limit + 1,
            before=asked.after,
            kind=asked.kind,
            id=asked.id,
            actor=asked.actor,
            since=asked.since,
            until=asked.until,
        )
        found = await read_audit(self._database, wanted)
        page = found[: asked.limit]
        more = write_place(page[-1].place) if len(found) > asked.limit else None
        return json_answer(200, {"entries": [_shown(each) for each in page], "next": more})


def _shown(entry: AuditEntry) -> dict[str, object]:
    return {
        "at": written(entry.place.at),
        "actor": entry.actor,
        "origin": entry.origin,
        "revision": entry.revision,
        "kind": entry.kind,
        "id": entry.id,
        "action": entry.action,
        "before": _document(entry.before),
        "after": _document(entry.after),
        "note": entry.note,
    }


def _document(item: CatalogueItem | None) -> dict[str, object] | None:
    if item is None:
        return None
    if item.kind == MARKETPLACE:
        return {key: value for key, value in item.document.items() if value != []}
    resource = BY_KIND.get(item.kind)
    return dict(item.document) if resource is None else shown(resource, item)
