"""The ops port on a real socket."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from auction.domain.ids import OfferId
from auction.domain.plan import RoutedBy
from auction.ports import StorageUnavailableError
from auction.web import ops
from auction.web.drain import Drain
from auction.web.ops import build_ops
from auction.web.services import OpsServices
from metrics.registry import Metrics
from metrics.usage_figures import usage_figures
from tests.builders import CAMPAIGN, NOON, a_campaign, a_catalogue, an_offer
from tests.http.api_fakes import a_client, serving


@dataclass
class Service:
    """What the ops port looks at; ``database`` and ``refresh`` may be replaced."""

    metrics: Metrics = field(default_factory=Metrics)
    drain: Drain = field(default_factory=Drain)
    database: Callable[[], Any] = lambda: None
    refresh: Callable[[], Any] = lambda: None
    port: int = 0

    async def get(self, path: str, method: str = "GET") -> tuple[int, str, Any]:
        url = f"http://127.0.0.1:{self.port}{path}"
        async with a_client() as session, session.request(method, url) as response:
            kind = response.headers["Content-Type"]
            body = await (response.json(content_type=None) if "json" in kind else response.text())
            return response.status, kind, body

    async def check_database(self) -> str | None:
        answer: str | None = await _answer(self.database)
        return answer

    async def check_catalogue(self) -> str | None:
        return None

    async def bring_up_to_date(self) -> None:
        await _answer(self.refresh)


async def _answer(source: Callable[[], Any]) -> Any:
    answer = source()
    return await answer if asyncio.iscoroutine(answer) else answer


@asynccontextmanager
async def running(**changes: Any) -> AsyncIterator[Service]:
    service = Service(**changes)
    application = build_ops(
        OpsServices(
            checks={"database": service.check_database, "catalogue": service.check_catalogue},
            exposition=service.metrics.exposition,
            refresh=service.bring_up_to_date,
            show_checks=service.metrics.show_checks,
            drain=service.drain,
        )
    )
    async with serving(application) as service.port:
        yield service


def away() -> None:
    raise StorageUnavailableError("connection refused by db.internal")


def broken() -> None:
    raise RuntimeError("a bug")


async def never() -> None:
    await asyncio.Event().wait()


async def test_a_living_process_is_healthy_whatever_else_is_wrong() -> None:
    async with running(database=away) as service:
        service.drain.begin()
        status, _, body = await service.get("/healthz")
    assert (status, body) == (200, {"status": "ok"})


async def test_a_service_with_database_and_catalogue_is_ready() -> None:
    async with running() as service:
        status, kind, body = await service.get("/readyz")
    checks = {"database": "ok", "catalogue": "ok", "draining": "ok"}
    assert (status, body) == (200, {"status": "ready", "checks": checks})
    assert kind == "application/json"


@pytest.mark.parametrize(
    ("database", "word"),
    [(away, "unreachable"), (broken, "failed"), (lambda: "too old", "too old")],
)
async def test_readiness_names_what_is_wrong(database: Callable[[], Any], word: str) -> None:
    async with running(database=database) as service:
        status, _, body = await service.get("/readyz")
    assert (status, body["status"]) == (503, "not_ready")
    assert body["checks"] == {"database": word, "catalogue": "ok", "draining": "ok"}


async def test_a_database_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, "CHECK_TIMEOUT_S", 0.02)
    async with running(database=never) as service:
        status, _, body = await service.get("/readyz")
    assert (status, body["checks"]["database"]) == (503, "no answer in time")


async def test_a_draining_service_is_not_ready() -> None:
    async with running() as service:
        service.drain.begin()
        status, _, body = await service.get("/readyz")
    assert (status, body["checks"]["draining"]) == (503, "going down")


async def test_metrics_are_prometheus_text_with_the_facts_of_the_database() -> None:
    catalogue = a_catalogue(a_campaign(an_offer("acme-auto", concurrency=2)))
    metrics = Metrics()
    metrics.preload(catalogue)
    metrics.decided(CAMPAIGN, RoutedBy.AUCTION, 0.1, 0.001)
    metrics.bid(OfferId("acme-auto"), Decimal("52.00"))
    refreshed: list[bool] = []

    def refresh() -> None:
        refreshed.append(True)
        metrics.show_usage(usage_figures(catalogue, {}, NOON))

    async with running(metrics=metrics, refresh=refresh) as service:
        status, kind, text = await service.get("/metrics")
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert status == 200
    assert kind.startswith("text/plain; version=")
    assert refreshed == [True]
    assert samples["pingpost_calls_total", "auction", CAMPAIGN] == 1
    assert samples["pingpost_live_calls", "acme-auto"] == 0


@pytest.mark.parametrize("refresh", [away, never])
async def test_metrics_keep_their_last_values_while_the_database_is_away(
    refresh: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops, "REFRESH_TIMEOUT_S", 0.02)
    async with running(refresh=refresh) as service:
        status, _, text = await service.get("/metrics")
    assert status == 200
    assert "pingpost_live_calls" in text


@pytest.mark.parametrize(("database", "well"), [(lambda: None, 1), (away, 0), (broken, 0)])
async def test_a_scrape_tells_what_readiness_looks_at(
    database: Callable[[], Any], well: float
) -> None:
    async with running(database=database) as service:
        service.drain.begin()
        _, _, text = await service.get("/metrics")
    checks = {
        sample.labels["check"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "pingpost_ready"
    }
    assert checks == {"database": well, "catalogue": 1, "draining": 0}


@pytest.mark.parametrize(
    ("path", "method", "status"), [("/", "GET", 404), ("/metrics", "POST", 405)]
)
async def test_anything_else_is_a_problem(path: str, method: str, status: int) -> None:
    async with running() as service:
        answered, kind, body = await service.get(path, method)
    assert (answered, kind) == (status, "application/problem+json")
    assert body["status"] == status
