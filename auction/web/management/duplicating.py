"""``POST /v1/buyers/{id}/duplicate``: a buyer with its offers and rules under a new id, paused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final
from urllib.parse import quote

from aiohttp import hdrs, web
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from auction.web import problems
from auction.web.authentication import MAY_MANAGE, unbound
from auction.web.faults import faults_of
from auction.web.management.answers import json_answer, told_when
from auction.web.management.conditions import etag
from auction.web.management.entailed import refuse_made
from auction.web.management.fragments import shown
from auction.web.management.handlers import FROM_API
from auction.web.management.requests import actor_of, known_now, read_exact_object
from auction.web.management.resources import BY_KIND
from auction.web.problems import CallerMistakeError, invalid
from auction.web.services import Tokens
from config.identifiers import unused
from config.marketplace import Buyer, to_plain
from config.values import is_identifier
from storage.catalogue import About
from storage.catalogue_items import BUYER, OFFER, STEP, CatalogueItem
from storage.database import Database
from storage.managing import CatalogueChange, HeldItem, change

_LONGEST: Final = 56
"""Of the part of a copied id that is kept, so that there is room for what tells it apart."""


class DuplicateBody(BaseModel):
    """What the copy is called; made from the original where absent."""

    model_config = ConfigDict(strict=True, extra="forbid")

    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:\-]{1,64}$")] | None = None
    name: Annotated[str, StringConstraints(max_length=200, pattern=r"^\P{Cc}*$")] | None = None


@dataclass(frozen=True, slots=True)
class DuplicateHandler:
    """Copies buyers; stored secrets are copied as they are sealed."""

    database: Database
    tokens: Tokens

    async def duplicate(self, request: web.Request) -> web.Response:
        """The copy, with the ids of its offers."""
        grant = await unbound(request, self.tokens, MAY_MANAGE)
        known_now(request)
        asked = _read(await read_exact_object(request) if request.can_read_body else {})
        identifier = request.match_info["id"]
        async with change(self.database) as under_way:
            held = await under_way.item(BUYER, identifier) if is_identifier(identifier) else None
            if held is None:
                raise CallerMistakeError(problems.NOT_FOUND, "There is no buyer of this id.")
            refuse_made(held.item)
            copies = await _copies(under_way, held.item, asked)
            since = await under_way.save([], copies, About(FROM_API, actor_of(grant)))
        return told_when(_answer(copies, HeldItem(copies[0], since)), under_way)


def _read(body: Mapping[str, object]) -> DuplicateBody:
    """Raises CallerMistakeError: 422."""
    try:
        return DuplicateBody.model_validate(body)
    except ValidationError as error:
        raise invalid(*faults_of(error)) from None


async def _copies(
    under_way: CatalogueChange, buyer: CatalogueItem, asked: DuplicateBody
) -> list[CatalogueItem]:
    """The buyer, then its offers. Raises CallerMistakeError: 409."""
    base = f"{buyer.id[:_LONGEST]}-copy"
    name = asked.id or unused(base, await under_way.ids_like(BUYER, base))
    if await under_way.item(BUYER, name) is not None:
        raise CallerMistakeError(problems.EXISTS, "There is a buyer of this id: choose another.")
    copies = [
        CatalogueItem(
            BUYER,
            name,
            _paused(buyer.document, name, asked.name),
            None,
            await under_way.next_position(BUYER, None),
        )
    ]
    for place, offer in enumerate(await under_way.children(OFFER, buyer.id), start=1):
        suffix = offer.id.removeprefix(buyer.id)
        base = f"{name}{suffix}"[:_LONGEST] if suffix != offer.id else f"{offer.id[:_LONGEST]}-copy"
        taken = await under_way.ids_like(OFFER, base) | {each.id for each in copies[1:]}
        copy = unused(base, taken)
        document = {**offer.document, "id": copy}
        copies.append(
            replace(offer, id=copy, document=document, parent=name, position=place * STEP)
        )
    return copies


def _paused(document: Mapping[str, object], name: str, title: str | None) -> dict[str, object]:
    """A buyer's document for its copy; an id that its company knows it by names the original."""
    copy = {key: each for key, each in document.items() if key != "external_id"}
    shown_name = title or f"{copy.get('name') or copy['id']} (copy)"[:200]
    copy |= {"id": name, "name": shown_name, "enabled": False}
    return to_plain(Buyer.model_validate(copy), as_given=True)


def _answer(copies: Sequence[CatalogueItem], held: HeldItem) -> web.Response:
    offers = [each.id for each in copies[1:]]
    content = {**shown(BY_KIND[BUYER], held.item), "offers": offers}
    response = json_answer(201, content)
    response.headers[hdrs.ETAG] = etag(held.since)
    response.headers[hdrs.LOCATION] = f"/v1/buyers/{quote(held.item.id)}"
    return response
