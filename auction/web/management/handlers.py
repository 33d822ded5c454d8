"""The handlers of one kind of object."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Final
from urllib.parse import quote

from aiohttp import hdrs, web

from auction.ports import Clock
from auction.web.authentication import MAY_MANAGE, MAY_VIEW, unbound
from auction.web.management import changing
from auction.web.management.answers import json_answer, told_when
from auction.web.management.changing import Draft
from auction.web.management.conditions import etag, read_condition
from auction.web.management.fragments import shown
from auction.web.management.masking import shown_to
from auction.web.management.requests import (
    actor_of,
    known_now,
    read_exact_object,
    read_number,
    read_wanted,
    refuse_body,
)
from auction.web.management.resources import Resource
from auction.web.management.schedule import accepted, read_effective_at, schedule
from auction.web.paging import BAD_PLACE, known_only
from auction.web.problems import Fault, invalid
from auction.web.services import Grant, Tokens
from config.secret_box import SecretBox
from config.values import is_identifier
from storage.catalogue import About
from storage.database import Database
from storage.managing import CatalogueChange, HeldItem, change, list_items, read_item, was_there

FROM_API: Final = "api"

Change = Callable[[CatalogueChange, HeldItem | None, About], Awaitable[HeldItem]]


CurrentBox = Callable[[], Awaitable[SecretBox]]
"""The box of the key in force, asked for while no rotation can go on."""


class ResourceHandlers:
    """Lists, shows and changes the objects of one kind."""

    def __init__(
        self,
        resource: Resource,
        database: Database,
        box: CurrentBox,
        tokens: Tokens,
        clock: Clock,
    ) -> None:
        self._resource = resource
        self._database = database
        self._box = box
        self._tokens = tokens
        self._clock = clock

    async def list(self, request: web.Request) -> web.Response:
        """``GET``: in the order of their ids; ``next`` goes into ``after``."""
        grant = await unbound(request, self._tokens, MAY_VIEW)
        wanted = read_wanted(request, self._resource)
        if wanted.after:
            await self._check_place(wanted.after)
        found = await list_items(self._database, self._resource.kind, wanted)
        more = found[-2].item.id if len(found) == wanted.limit else None
        # A thousand objects take a while; calls go on being decided meanwhile.
        return await asyncio.to_thread(self._page, grant, found[: wanted.limit - 1], more)

    async def create(self, request: web.Request) -> web.Response:
        """``POST``: a new object; its id is made from its name where it has none."""
        grant = await unbound(request, self._tokens, MAY_MANAGE)
        known_now(request)
        draft = Draft.of(self._resource, await read_exact_object(request))
        async with change(self._database) as under_way:
            held = await changing.create(under_way, draft, await self._box(), _about(grant))
        return told_when(self._changed(grant, held, created=True), under_way)

    async def show(self, request: web.Request) -> web.Response:
        """``GET``: one, as it is or with ``revision`` as it was."""
        grant = await unbound(request, self._tokens, MAY_VIEW)
        known_only(request, {"revision"})
        condition = read_condition(request)
        revision = read_number(request, "revision")
        kind, identifier = self._resource.kind, self._id(request)
        held = await read_item(self._database, kind, identifier, revision)
        if held is None:
            raise changing.unknown(self._resource, revision)
        if condition.seen(held.since):
            return web.Response(status=304, headers={hdrs.ETAG: etag(held.since)})
        condition.check(held.since)
        return self._answer(200, grant, held)

    async def replace(self, request: web.Request) -> web.Response:
        """``PUT``: the object as a whole; one that is not there is created."""
        grant = await unbound(request, self._tokens, MAY_MANAGE)
        known_now(request)
        identifier = self._id(request)
        content = changing.with_same_id(await read_exact_object(request), identifier)

        async def put(under_way: CatalogueChange, held: HeldItem | None, about: About) -> HeldItem:
            draft = Draft.of(self._resource, content, held)
            return await changing.put(under_way, draft, await self._box(), about)

        return await self._change(request, grant, put, may_create=True)

    async def patch(self, request: web.Request) -> web.Response:
        """``PATCH``: what a merge patch (RFC 7396) says, now or at ``effective_at``."""
        grant = await unbound(request, self._tokens, MAY_MANAGE)
        known_only(request, {"effective_at"})
        effective_at = read_effective_at(request, self._clock)
        content = await read_exact_object(request)
        if effective_at is not None:
            return await self._schedule(request, grant, content, effective_at)
        return await self._patch(request, grant, content)

    async def pause(self, request: web.Request) -> web.Response:
        """``POST …/pause``: no call goes there until it is resumed."""
        return await self._switch(request, enabled=False)

    async def resume(self, request: web.Request) -> web.Response:
        """``POST …/resume``: calls go there again."""
        return await self._switch(request, enabled=True)

    async def delete(self, request: web.Request) -> web.Response:
        """``DELETE``: it leaves the marketplace; its revisions stay readable."""
        grant = await unbound(request, self._tokens, MAY_MANAGE)
        known_now(request)
        condition = read_condition(request)
        async with change(self._database) as under_way:
            held = await under_way.item(self._resource.kind, self._id(request))
            condition.check(None if held is None else held.since)
            if held is None:
                raise changing.unknown(self._resource)
            await changing.delete(under_way, self._resource, held.item, _about(grant))
        return told_when(web.Response(status=204), under_way)

    async def _switch(self, request: web.Request, *, enabled: bool) -> web.Response:
        grant = await unbound(request, self._tokens, MAY_MANAGE)
        known_now(request)
        await refuse_body(request)
        return await self._patch(request, grant, {"enabled": enabled})

    async def _patch(
        self, request: web.Request, grant: Grant, content: Mapping[str, object]
    ) -> web.Response:
        async def put(under_way: CatalogueChange, held: HeldItem | None, about: About) -> HeldItem:
            assert held is not None, "only PUT creates"
            draft = changing.patched(self._resource, held, content)
            return await changing.put(under_way, draft, await self._box(), about)

        return await self._change(request, grant, put, may_create=False)

    async def _schedule(
        self,
        request: web.Request,
        grant: Grant,
        content: Mapping[str, object],
        effective_at: datetime,
    ) -> web.Response:
        condition = read_condition(request)
        async with change(self._database) as under_way:
            held = await under_way.item(self._resource.kind, self._id(request))
            condition.check(None if held is None else held.since)
            if held is None:
                raise changing.unknown(self._resource)
            waiting = await schedule(
                under_way,
                self._resource,
                held,
                content,
                await self._box(),
                effective_at,
                actor_of(grant),
            )
        return accepted(waiting, grant)

    async def _change(
        self, request: web.Request, grant: Grant, put: Change, *, may_create: bool
    ) -> web.Response:
        condition = read_condition(request)
        async with change(self._database) as under_way:
            before = await under_way.item(self._resource.kind, self._id(request))
            condition.check(None if before is None else before.since)
            if before is None and not may_create:
                raise changing.unknown(self._resource)
            held = await put(under_way, before, _about(grant))
        return told_when(self._changed(grant, held, created=before is None), under_way)

    async def _check_place(self, after: str) -> None:
        """Raises CallerMistakeError (422) where no page can have ended so: there never was one."""
        if not await was_there(self._database, self._resource.kind, after):
            raise invalid(Fault("after", BAD_PLACE))

    def _page(self, grant: Grant, page: Sequence[HeldItem], more: str | None) -> web.Response:
        shown_items = [self._shown(grant, each) for each in page]
        return json_answer(200, {self._resource.list_name: shown_items, "next": more})

    def _changed(self, grant: Grant, held: HeldItem, *, created: bool) -> web.Response:
        response = self._answer(201 if created else 200, grant, held)
        if created:
            response.headers[hdrs.LOCATION] = f"/v1/{self._resource.path}/{quote(held.item.id)}"
        return response

    def _answer(self, status: int, grant: Grant, held: HeldItem) -> web.Response:
        response = json_answer(status, {**self._shown(grant, held), **held.told})
        response.headers[hdrs.ETAG] = etag(held.since)
        return response

    def _shown(self, grant: Grant, held: HeldItem) -> dict[str, object]:
        return shown_to(grant, self._resource.kind, shown(self._resource, held.item))

    def _id(self, request: web.Request) -> str:
        identifier = request.match_info["id"]
        if not is_identifier(identifier):
            raise changing.unknown(self._resource)
        return identifier


def _about(grant: Grant) -> About:
    return About(FROM_API, actor_of(grant))
