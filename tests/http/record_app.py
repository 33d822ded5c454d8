"""What shows calls, on a real socket: its handlers alone, over services that are given."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from aiohttp import web

from auction.domain.call_list import RecordedEntry
from auction.web.call_list import CallListHandlers, CallLists
from auction.web.calls import CallHandlers
from auction.web.drain import Drain
from auction.web.edge import edge
from auction.web.services import ApiServices
from tests.http.api_fakes import Api, FakeServices, a_client, serving
from tests.ledger_steps import VAULT


@asynccontextmanager
async def running_records(
    services: FakeServices, *entries: RecordedEntry, lists: CallLists | None = None
) -> AsyncIterator[Api]:
    """The API of records, served."""
    services.entries = entries
    fake = cast("Any", services)
    drain = Drain()
    behind = ApiServices(
        reception=fake,
        rerouter=fake,
        events=fake,
        records=fake,
        revisions=fake,
        tokens=fake,
        clock=fake,
        default_country=lambda: "US",
        fingerprint=VAULT.fingerprint,
        drain=drain,
    )
    application = web.Application(middlewares=[edge(drain)])
    calls = CallHandlers(behind)
    if lists is not None:
        application.router.add_get("/v1/calls", CallListHandlers(behind, lists).show)
    application.router.add_get("/v1/calls/{call_id:[^/]+}", calls.show)
    async with serving(application) as port, a_client() as session:
        yield Api(services, session, port, drain)
