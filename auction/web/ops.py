"""The ops port: liveness, readiness and metrics, without a token."""

import asyncio
import logging
from collections.abc import Mapping

import orjson
from aiohttp import hdrs, web

from auction.ports import StorageUnavailableError
from auction.web.drain import Drain
from auction.web.edge import RETRY_AFTER_S, edge
from auction.web.services import Check, OpsServices
from metrics.exposition import CONTENT_TYPE

logger = logging.getLogger(__name__)

CHECK_TIMEOUT_S = 1.0
REFRESH_TIMEOUT_S = 1.0

_OK = "ok"


def build_ops(services: OpsServices) -> web.Application:
    """The application for port 9090."""
    application = web.Application(middlewares=[edge(Drain())])
    handlers = OpsHandlers(services)
    application.router.add_get("/healthz", handlers.health)
    application.router.add_get("/readyz", handlers.ready)
    application.router.add_get("/metrics", handlers.metrics)
    return application


class OpsHandlers:
    """What operators and their machines ask."""

    def __init__(self, services: OpsServices) -> None:
        self._services = services

    async def health(self, _: web.Request) -> web.Response:
        """The process lives."""
        return _json(200, {"status": "ok"})

    async def ready(self, _: web.Request) -> web.Response:
        """Whether calls should be sent here; what is wrong, by name, when not."""
        checks = await self._checked()
        if all(state == _OK for state in checks.values()):
            return _json(200, {"status": "ready", "checks": checks})
        return _json(503, {"status": "not_ready", "checks": checks})

    async def metrics(self, _: web.Request) -> web.Response:
        """Prometheus text; facts of the database keep their last values while it is away."""
        checks, _refreshed = await asyncio.gather(self._checked(), self._refreshed())
        self._services.show_checks({name: state == _OK for name, state in checks.items()})
        text = await self._services.exposition()
        return web.Response(body=text, headers={hdrs.CONTENT_TYPE: CONTENT_TYPE})

    async def _refreshed(self) -> None:
        try:
            async with asyncio.timeout(REFRESH_TIMEOUT_S):
                await self._services.refresh()
        except (TimeoutError, StorageUnavailableError):
            logger.warning(
                "Metrics show the database as last seen", extra={"action": "metrics_stale"}
            )

    async def _checked(self) -> dict[str, str]:
        checks = self._services.checks
        states = await asyncio.gather(*(_state(check) for check in checks.values()))
        draining = "going down" if self._services.drain.draining else _OK
        return {**dict(zip(checks, states, strict=True)), "draining": draining}


async def _state(check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            return await check() or _OK
    except TimeoutError:
        return "no answer in time"
    except StorageUnavailableError:
        return "unreachable"
    except Exception:
        logger.exception("A readiness check failed", extra={"action": "readiness_check"})
        return "failed"


def _json(status: int, content: Mapping[str, object]) -> web.Response:
    headers = {hdrs.CONTENT_TYPE: "application/json"}
    if status == 503:
        headers[hdrs.RETRY_AFTER] = str(RETRY_AFTER_S)
    return web.Response(status=status, body=orjson.dumps(content), headers=headers)
