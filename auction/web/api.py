"""The switch-facing API as an aiohttp application."""

from aiohttp import web

from auction.web.bodies import MAX_BODY_BYTES, expect_continue
from auction.web.calls import CallHandlers
from auction.web.edge import edge
from auction.web.services import ApiServices


def build_api(services: ApiServices) -> web.Application:
    """The application for port 8080; serve it with ``auction.web.runner.ProblemRunner``."""
    application = web.Application(
        middlewares=[edge(services.drain)], client_max_size=MAX_BODY_BYTES
    )
    calls = CallHandlers(services)
    router = application.router
    router.add_post("/v1/calls", calls.decide, expect_handler=expect_continue)
    router.add_post("/v1/calls/events", calls.report, expect_handler=expect_continue)
    router.add_get("/v1/calls/{call_id:[^/]+}", calls.show)
    return application
