"""What has fired, looked up and acknowledged over HTTP."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from aiohttp import web

from auction.domain.alert_record import AlertRecord
from auction.web.alerts import AlertHandlers
from auction.web.drain import Drain
from auction.web.edge import edge
from tests.builders import NOON
from tests.http.api_fakes import Api, FakeServices, a_client, serving

FIRED = AlertRecord(
    "a" * 32, "slow", "offer:acme-auto", "Slow", "timeout_rate", 0.5, 0.1, NOON, pause="paused"
)


@dataclass
class FakeBook:
    alerts: list[AlertRecord] = field(default_factory=lambda: [FIRED])
    asked: list[object] = field(default_factory=list)

    async def active(self) -> Sequence[AlertRecord]:
        return self.alerts

    async def history(
        self, limit: int, after: tuple[datetime, str] | None = None, rule: str | None = None
    ) -> Sequence[AlertRecord]:
        self.asked.append((after, rule))
        return self.alerts[:limit]

    async def acknowledge(self, alert_id: str, by: str) -> AlertRecord | None:
        if alert_id != FIRED.alert_id:
            return None
        if self.alerts[0].resolved_at is not None:
            return self.alerts[0]
        return replace(FIRED, acknowledged_at=NOON, acknowledged_by=by)


@asynccontextmanager
async def an_api(book: FakeBook) -> AsyncIterator[Api]:
    services, drain = FakeServices(), Drain()
    application = web.Application(middlewares=[edge(drain, 100)])
    AlertHandlers(book, services).add_to(application.router)
    async with serving(application) as port, a_client() as session:
        yield Api(services, session, port, drain)


async def test_what_fires_is_shown_whole() -> None:
    async with an_api(FakeBook()) as api:
        answer = await api.get("/v1/alerts/active")
    assert answer.json() == {
        "alerts": [
            {
                "alert_id": "a" * 32,
                "rule": "slow",
                "name": "Slow",
                "subject": "offer:acme-auto",
                "phase": "firing",
                "measure": "timeout_rate",
                "reading": 0.5,
                "threshold": 0.1,
                "fired_at": "2026-11-20T17:00:00.000Z",
                "acknowledged_at": None,
                "acknowledged_by": None,
                "escalated_at": None,
                "resolved_at": None,
                "resolution": None,
                "pause": "paused",
            }
        ]
    }


async def test_the_next_of_a_page_leads_to_the_page_after_it() -> None:
    older = replace(FIRED, alert_id="b" * 32, fired_at=NOON - timedelta(hours=1), resolved_at=NOON)
    book = FakeBook([FIRED, older])
    async with an_api(book) as api:
        first = (await api.get("/v1/alerts/history?limit=1&rule=slow")).json()
        last = (await api.get(f"/v1/alerts/history?after={first['next']}")).json()
    assert len(first["alerts"]) == 1
    assert book.asked == [(None, "slow"), ((FIRED.fired_at, FIRED.alert_id), None)]
    assert last["next"] is None
    assert last["alerts"][1]["phase"] == "resolved"


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "after=1", "after=x-y", "rule=%00", "rule="]
)
async def test_a_page_that_can_not_be_read_is_a_clear_mistake(query: str) -> None:
    async with an_api(FakeBook()) as api:
        answer = await api.get(f"/v1/alerts/history?{query}")
    assert answer.status == 422
    assert answer.json()["errors"][0]["path"] == query.partition("=")[0]


async def test_a_parameter_that_means_nothing_is_refused() -> None:
    async with an_api(FakeBook()) as api:
        for path, name in (("active?limit=1", "limit"), ("history?page=1", "page")):
            reply = await api.get(f"/v1/alerts/{path}", "read")
            assert (reply.status, reply.json()["errors"][0]["path"]) == (422, name)


async def test_it_is_acknowledged_by_the_token_that_says_so() -> None:
    async with an_api(FakeBook()) as api:
        path = f"/v1/alerts/{FIRED.alert_id}/acknowledge"
        done = await api.send("POST", path, token="admin")
        unknown = await api.send("POST", f"/v1/alerts/{'b' * 32}/acknowledge", token="admin")
        nonsense = await api.send("POST", "/v1/alerts/slow/acknowledge", token="admin")
        reader = await api.send("POST", path, token="read")
    assert (done.json()["phase"], done.json()["acknowledged_by"]) == ("acknowledged", "tok_1")
    assert [unknown.status, nonsense.status, reader.status] == [404, 404, 403]


@pytest.mark.parametrize(
    ("token", "status"), [("read", 200), ("admin", 200), ("calls", 403), ("acme", 403), (None, 401)]
)
async def test_alerts_are_for_those_who_may_see_everything(token: str | None, status: int) -> None:
    async with an_api(FakeBook()) as api:
        for path in ("/v1/alerts/active", "/v1/alerts/history"):
            assert (await api.get(path, token=token)).status == status


async def test_what_was_resolved_unseen_can_not_be_acknowledged_any_more() -> None:
    resolved = replace(FIRED, resolved_at=NOON, resolution="cleared")
    seen = replace(resolved, acknowledged_at=NOON, acknowledged_by="tok_2")
    path = f"/v1/alerts/{FIRED.alert_id}/acknowledge"
    async with an_api(FakeBook([resolved])) as api:
        late = await api.send("POST", path, token="admin")
    async with an_api(FakeBook([seen])) as api:
        again = await api.send("POST", path, token="admin")
    assert (late.status, late.json()["type"]) == (409, "urn:pingpost:problem:settled")
    assert "resolved before anybody acknowledged it" in late.json()["detail"]
    assert (again.status, again.json()["acknowledged_by"]) == (200, "tok_2")
