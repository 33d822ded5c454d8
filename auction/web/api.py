"""The switch-facing API as an aiohttp application."""

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from auction.web.bodies import MAX_BODY_BYTES, expecting
from auction.web.call_list import CallListHandlers, CallLists
from auction.web.calls import CallHandlers
from auction.web.dead_letters import DeadLetterHandlers, DeadLetters
from auction.web.edge import edge
from auction.web.formatted import MAX_REPORT_BYTES
from auction.web.openapi.handlers import DocumentHandlers
from auction.web.postbacks import PostbackHandlers, Postbacks
from auction.web.reroutes import RerouteHandlers
from auction.web.services import ApiServices
from auction.web.switches import MAX_LIST_BYTES, SwitchCalls, SwitchHandlers

_EXPECT = expecting(MAX_BODY_BYTES)


@dataclass(frozen=True, slots=True)
class CallLife:
    """What is done with calls beside deciding them."""

    lists: CallLists
    postbacks: Postbacks
    switch_calls: SwitchCalls
    dead_letters: DeadLetters


Routes = Callable[[web.UrlDispatcher], None]
"""Adds a subject's routes."""


def build_api(services: ApiServices, life: CallLife, *more: Routes) -> web.Application:
    """The application for port 8080; serve it with ``auction.web.runner.ProblemRunner``."""
    application = web.Application(
        middlewares=[edge(services.drain, services.max_requests)], client_max_size=MAX_BODY_BYTES
    )
    _add_calls(application.router, services, life)
    _add_money(application.router, services, life)
    for add_to in more:
        add_to(application.router)
    DocumentHandlers(application.router).add_to(application.router)
    return application


def _add_calls(router: web.UrlDispatcher, services: ApiServices, life: CallLife) -> None:
    calls = CallHandlers(services)
    router.add_post("/v1/calls", calls.decide, expect_handler=_EXPECT)
    reroutes = RerouteHandlers(services)
    router.add_post("/v1/calls/next", reroutes.decide, expect_handler=_EXPECT)
    router.add_post("/v1/calls/events", calls.report, expect_handler=expecting(MAX_REPORT_BYTES))
    # a HEAD must not decide anything
    router.add_get("/v1/calls/next", calls.next_by_query, allow_head=False)
    router.add_get("/v1/calls/events", calls.report_by_query, allow_head=False)
    router.add_get("/v1/calls", CallListHandlers(services, life.lists).show)
    router.add_get("/v1/calls/{call_id:[^/]+}", calls.show)
    switches = SwitchHandlers(life.switch_calls, services.tokens, services.clock)
    router.add_post(
        "/v1/switches/{name:[^/]+}/live-calls",
        switches.compare,
        expect_handler=expecting(MAX_LIST_BYTES),
    )


def _add_money(router: web.UrlDispatcher, services: ApiServices, life: CallLife) -> None:
    postbacks = PostbackHandlers(life.postbacks, services.tokens, services.fingerprint)
    path = "/v1/postbacks/conversion"
    router.add_get(path, postbacks.convert, allow_head=False)
    router.add_post(path, postbacks.convert, expect_handler=_EXPECT)
    letters = DeadLetterHandlers(life.dead_letters, services.tokens)
    router.add_get("/v1/webhooks/dead-letters", letters.list)
    router.add_post("/v1/webhooks/dead-letters/{event_id:[^/]+}/resend", letters.resend)
