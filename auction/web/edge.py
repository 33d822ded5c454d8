"""The edge of the service: whatever goes wrong inside leaves as a problem document, once."""

import logging
import secrets

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from auction.ports import OverloadedError, StorageUnavailableError
from auction.web import problems
from auction.web.drain import Drain
from auction.web.problems import CallerMistakeError, http_problem, problem

logger = logging.getLogger(__name__)

RETRY_AFTER_S = 1


def edge(drain: Drain, max_requests: int | None = None) -> Middleware:
    """The only middleware: counts requests for the drain, bounds them and translates errors."""

    @web.middleware
    async def at_the_edge(request: web.Request, handler: Handler) -> web.StreamResponse:
        drain.entered()
        try:
            if max_requests is not None and drain.in_flight > max_requests:
                response: web.StreamResponse = overloaded()
            else:
                response = await _translated(request, handler)
        finally:
            drain.left()
        if not drain.keeps_connections:
            response.force_close()
        return response

    return at_the_edge


async def _translated(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except CallerMistakeError as mistake:
        return mistake.response()
    except StorageUnavailableError:
        return unavailable()
    except OverloadedError:
        return overloaded()
    except web.HTTPException as error:
        return _http_error(error)
    except Exception:  # noqa: BLE001  # logged there; whoever asks gets a reference, no details
        return internal_error("A request failed")


def unavailable() -> web.Response:
    """503 with Retry-After."""
    return problem(
        problems.UNAVAILABLE,
        "No durable answer can be given in time; ask again.",
        headers={hdrs.RETRY_AFTER: str(RETRY_AFTER_S)},
    )


def overloaded() -> web.Response:
    """503 with Retry-After: nothing was begun."""
    return problem(
        problems.UNAVAILABLE,
        "There is too much to do here right now; ask again.",
        headers={hdrs.RETRY_AFTER: str(RETRY_AFTER_S)},
    )


def internal_error(message: str, error: BaseException | None = None) -> web.Response:
    """500 with nothing but a reference; the log has the rest."""
    reference = "-".join(secrets.token_hex(2) for _ in range(4))
    logger.error(
        message, exc_info=error or True, extra={"action": "request_failed", "reference": reference}
    )
    return problem(problems.INTERNAL, "The log has more under the reference.", reference=reference)


def _http_error(error: web.HTTPException) -> web.Response:
    allow = error.headers.get(hdrs.ALLOW)
    headers: dict[str, str] = {} if allow is None else {hdrs.ALLOW: allow}
    return http_problem(error.status, headers=headers)
