"""Request bodies: bounded in size and time, then JSON."""

import asyncio
from collections.abc import Awaitable, Callable

import orjson
from aiohttp import hdrs, web

from auction.web import problems
from auction.web.problems import CallerMistakeError, Fault, http_problem, invalid

MAX_BODY_BYTES = 64 * 1024
BODY_TIMEOUT_S = 10.0

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_EXACT = 2.0**53

JsonObject = dict[str, object]


async def read_object(request: web.Request) -> JsonObject:
    """The request's JSON object. Raises CallerMistakeError: 400, 408, 413 or 422."""
    return parse_object(await read_bytes(request, MAX_BODY_BYTES))


def fingerprint(content: JsonObject, keyed: Callable[[bytes], bytes]) -> bytes:
    """Keyed hash of the canonical JSON: the same in any order, with any white space, 1 as 1.0."""
    return keyed(orjson.dumps(_plain_numbers(content), option=orjson.OPT_SORT_KEYS))


def _plain_numbers(content: JsonObject) -> JsonObject:
    """The numbers of an object and of the objects in it as JSON writes them shortest (RFC 8785)."""
    return {key: _plain_number(value) for key, value in content.items()}


def _plain_number(value: object) -> object:
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < _EXACT else value
    return _plain_numbers(value) if isinstance(value, dict) else value


async def read_bytes(request: web.Request, max_bytes: int) -> bytes:
    """The request's body. Raises CallerMistakeError: 400, 408 or 413."""
    if _announced(request) > max_bytes:
        raise _too_large(max_bytes)
    # The application's own bound is that of its smallest bodies.
    small = max_bytes <= MAX_BODY_BYTES
    bounded = request if small else request.clone(client_max_size=max_bytes)
    try:
        if request.content.is_eof():
            return await bounded.read()
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await bounded.read()
    except web.HTTPRequestEntityTooLarge:
        raise _too_large(max_bytes) from None
    except TimeoutError:
        detail = f"The body must arrive within {BODY_TIMEOUT_S:g} seconds."
        raise CallerMistakeError(problems.BODY_TIMEOUT, detail) from None
    except (web.RequestPayloadError, ConnectionError):
        raise CallerMistakeError(problems.BAD_REQUEST, "The body ended early.") from None


def parse_object(body: bytes) -> JsonObject:
    """The JSON object of a body. Raises CallerMistakeError: 400 or 422."""
    try:
        value = orjson.loads(body.removeprefix(_BYTE_ORDER_MARK))
    except orjson.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise CallerMistakeError(problems.NOT_JSON, f"No JSON at {where}.") from None
    if not isinstance(value, dict):
        raise invalid(Fault("", "must be a JSON object"))
    return value


def expecting(
    max_bytes: int,
) -> Callable[[web.Request], Awaitable[web.StreamResponse | None]]:
    """Answers ``Expect: 100-continue``, before the body is sent, with what its length deserves."""

    async def expect_continue(request: web.Request) -> web.StreamResponse | None:
        if request.headers[hdrs.EXPECT].lower() != "100-continue":
            return http_problem(417)
        if _announced(request) > max_bytes:
            return _too_large(max_bytes).response()
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # aiohttp's writer counts these bytes as the response's own, which would forbid an error
        request.writer.output_size = 0
        return None

    return expect_continue


def _announced(request: web.Request) -> int:
    return request.content_length or 0


def _too_large(max_bytes: int) -> CallerMistakeError:
    return CallerMistakeError(problems.TOO_LARGE, f"A body has at most {max_bytes} bytes.")
