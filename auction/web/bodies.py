"""Request bodies: bounded in size and time, then JSON."""

import asyncio
from collections.abc import Callable

import orjson
from aiohttp import hdrs, web

from auction.web import problems
from auction.web.problems import CallerMistakeError, Fault, http_problem, invalid

MAX_BODY_BYTES = 64 * 1024
BODY_TIMEOUT_S = 10.0

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

JsonObject = dict[str, object]


async def read_object(request: web.Request) -> JsonObject:
    """The request's JSON object. Raises CallerMistakeError: 400, 408, 413 or 422."""
    body = await _read(request)
    try:
        value = orjson.loads(body.removeprefix(_BYTE_ORDER_MARK))
    except orjson.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise CallerMistakeError(problems.NOT_JSON, f"No JSON at {where}.") from None
    if not isinstance(value, dict):
        raise invalid(Fault("", "must be a JSON object"))
    return value


def fingerprint(content: JsonObject, keyed: Callable[[bytes], bytes]) -> bytes:
    """Keyed hash of the canonical JSON: the same for any order of keys and any white space."""
    return keyed(orjson.dumps(content, option=orjson.OPT_SORT_KEYS))


async def expect_continue(request: web.Request) -> web.StreamResponse | None:
    """Answer ``Expect: 100-continue``, before the body is sent, with what its length deserves."""
    if request.headers[hdrs.EXPECT].lower() != "100-continue":
        return http_problem(417)
    if _announced(request) > MAX_BODY_BYTES:
        return _too_large().response()
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    # aiohttp's writer counts these bytes as the response's own, which would forbid an error later
    request.writer.output_size = 0
    return None


async def _read(request: web.Request) -> bytes:
    if _announced(request) > MAX_BODY_BYTES:
        raise _too_large()
    try:
        if request.content.is_eof():
            return await request.read()
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise _too_large() from None
    except TimeoutError:
        detail = f"The body must arrive within {BODY_TIMEOUT_S:g} seconds."
        raise CallerMistakeError(problems.BODY_TIMEOUT, detail) from None
    except (web.RequestPayloadError, ConnectionError):
        raise CallerMistakeError(problems.BAD_REQUEST, "The body ended early.") from None


def _announced(request: web.Request) -> int:
    return request.content_length or 0


def _too_large() -> CallerMistakeError:
    detail = f"A body has at most {MAX_BODY_BYTES} bytes."
    return CallerMistakeError(problems.TOO_LARGE, detail)
