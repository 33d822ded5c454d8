"""Serving an application so that errors below its handlers are problem documents as well."""

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from aiohttp import hdrs, web

from auction.web.edge import internal_error
from auction.web.problems import http_problem

logger = logging.getLogger(__name__)

KEEPALIVE_S = 75.0
LINGER_S = 5.0
LOOK_EVERY_S = 0.05


class ProblemRunner(web.AppRunner):
    """Runs an application without an access log; unreadable requests get a problem, too.

    ``arriving`` connections were taken and are not served yet.
    """

    def __init__(self, application: web.Application, *, shutdown_timeout_s: float = 8.0) -> None:
        super().__init__(application, shutdown_timeout=shutdown_timeout_s)
        self.arriving = 0

    def tell_closed(self, listener: Callable[[], None]) -> None:
        """Have a listener told of each connection that is closed, once it is set up."""
        assert isinstance(self.server, _ProblemServer), "it was set up"
        self.server.on_closed = listener

    async def wait_unconnected(self, timeout_s: float) -> bool:
        """Whether no connection was open any more within ``timeout_s`` seconds."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.arriving or (self.server and self.server.connections):  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(LOOK_EVERY_S)
        except TimeoutError:
            return False
        return True

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        return _ProblemServer(
            server.request_handler,
            request_factory=server.request_factory,
            access_log=None,
            keepalive_timeout=KEEPALIVE_S,
            lingering_time=LINGER_S,
        )


class _ProblemServer(web.Server):
    on_closed: Callable[[], None] | None = None

    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        super().connection_lost(handler, exc)
        if self.on_closed is not None:
            self.on_closed()

    def __call__(self) -> web.RequestHandler:
        return _ProblemRequestHandler(self, loop=self._loop, **self._kwargs)


class _ProblemRequestHandler(web.RequestHandler):
    def log_exception(self, *args: Any, **kw: Any) -> None:  # noqa: ANN401 - aiohttp's own signature
        # A body is read on after the answer, too: whoever sends nonsense would fill the log.
        if isinstance(kw.get("exc_info"), web.RequestPayloadError):
            logger.debug("A body could not be read", extra={"action": "bad_request"})
        else:
            super().log_exception(*args, **kw)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  # may repeat what was sent
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("the response was begun already")
        if isinstance(exc, UnicodeEncodeError) and hdrs.EXPECT in request.headers:
            # aiohttp repeats what was expected of it, and can't where that is no text.
            status = HTTPStatus.EXPECTATION_FAILED
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            response = internal_error("A request failed outside its handler", exc)
        else:
            logger.debug("A request could not be read", extra={"action": "bad_request"})
            response = http_problem(status)
        response.force_close()
        return response
