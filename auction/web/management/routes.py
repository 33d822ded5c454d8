"""Every path of the management API, from the table of resources."""

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from auction.ports import Clock
from auction.web.bodies import expecting
from auction.web.management.audit import AuditHandlers
from auction.web.management.duplicating import DuplicateHandler
from auction.web.management.handlers import CurrentBox, ResourceHandlers
from auction.web.management.requests import MAX_OBJECT_BYTES
from auction.web.management.resources import RESOURCES, Resource
from auction.web.management.schedule import PATH, ScheduleHandlers
from auction.web.management.voice_agents import VoiceAgentHandlers
from auction.web.services import Tokens
from storage.catalogue_items import VOICE_AGENT
from storage.database import Database

_EXPECT = expecting(MAX_OBJECT_BYTES)


@dataclass(frozen=True, slots=True)
class Managed:
    """Where the marketplace is kept, and the box for its secrets.

    ``voice_bots``: whether voice agents may be saved here.
    """

    database: Database
    box: CurrentBox
    voice_bots: bool = False


def management(
    managed: Managed, tokens: Tokens, clock: Clock
) -> Callable[[web.UrlDispatcher], None]:
    """What adds the routes of every kind of object."""

    def add_to(router: web.UrlDispatcher) -> None:
        for resource in RESOURCES:
            _add_resource(router, resource, _handlers(resource, managed, tokens, clock))
        copying = DuplicateHandler(managed.database, tokens)
        router.add_post(
            "/v1/buyers/{id:[^/]+}/duplicate", copying.duplicate, expect_handler=_EXPECT
        )
        waiting = ScheduleHandlers(managed.database, tokens)
        router.add_get(PATH, waiting.list)
        router.add_get(f"{PATH}/{{id:[^/]+}}", waiting.show)
        router.add_delete(f"{PATH}/{{id:[^/]+}}", waiting.cancel)
        router.add_get("/v1/audit", AuditHandlers(managed.database, tokens).list)

    return add_to


def _handlers(
    resource: Resource, managed: Managed, tokens: Tokens, clock: Clock
) -> ResourceHandlers:
    parts = (resource, managed.database, managed.box, tokens, clock)
    if resource.kind == VOICE_AGENT:
        return VoiceAgentHandlers(*parts, enabled=managed.voice_bots)
    return ResourceHandlers(*parts)


def _add_resource(
    router: web.UrlDispatcher, resource: Resource, handlers: ResourceHandlers
) -> None:
    all_of_them = f"/v1/{resource.path}"
    one = f"{all_of_them}/{{id:[^/]+}}"
    router.add_get(all_of_them, handlers.list)
    router.add_post(all_of_them, handlers.create, expect_handler=_EXPECT)
    router.add_get(one, handlers.show)
    router.add_put(one, handlers.replace, expect_handler=_EXPECT)
    router.add_patch(one, handlers.patch, expect_handler=_EXPECT)
    router.add_delete(one, handlers.delete)
    if resource.switchable:
        router.add_post(f"{one}/pause", handlers.pause, expect_handler=_EXPECT)
        router.add_post(f"{one}/resume", handlers.resume, expect_handler=_EXPECT)
