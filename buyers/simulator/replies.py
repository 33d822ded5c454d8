"""HTTP answers as bytes, and the ways of spoiling them."""

from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus

import orjson

from buyers.simulator.counts import Counts
from buyers.simulator.templates import Body

GARBAGE_BODY = b'\x00\xff<<< neither "JSON", nor=XML &&& {[ \x80'
GARBAGE_BYTES = b"\x16\x03\x01 this is not HTTP at all \xff\xfe\r\n\r\n"
REDIRECTED_PATH = "/_redirected"

_RETRY_LATER = frozenset({429, 503})
_WITHOUT_BODY = frozenset({204, 304})
_HALF = 2
_CHUNK = 16_384
_PADDING = b" "


class Delivery(Enum):
    """How the bytes of a reply leave."""

    WHOLE = "whole"
    NEVER = "never"
    DRIP = "drip"
    PACED = "paced"
    THEN_CLOSE = "then_close"
    THEN_RESET = "then_reset"


@dataclass(slots=True)
class Reply:
    """What to send after ``delay_s`` seconds.

    DRIP sends ``at_once`` bytes and then one at a time, ``drip_s`` seconds apart. PACED sends as
    fast as the other side reads. ``counts`` is where an abandoned request is counted, ``sells``
    whether the reply says that the buyer takes a call.
    """

    payload: bytes
    delay_s: float = 0.0
    delivery: Delivery = Delivery.WHOLE
    at_once: int = 0
    drip_s: float = 0.0
    counts: Counts | None = None
    sells: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """A status with a body to be filled in; all but the body's length is built already."""

    head: bytes
    body: Body | None

    def render(self, amount: str, bid_id: str) -> bytes:
        """The whole response."""
        if self.body is None:
            return self.head
        body = self.body.render(amount, bid_id)
        return b"%s%d\r\n\r\n%s" % (self.head, len(body), body)


def answer(status: int, media_type: str, body: Body) -> Answer:
    """An answer with a body, which statuses that have none leave out."""
    if status in _WITHOUT_BODY:
        return Answer(_status_line(status) + b"\r\n", None)
    retry = b"Retry-After: 1\r\n" if status in _RETRY_LATER else b""
    kind = f"Content-Type: {media_type}\r\nContent-Length: ".encode()
    return Answer(_status_line(status) + retry + kind, body)


def response(status: int, body: bytes, media_type: str = "application/json") -> bytes:
    """A whole response with a fixed body."""
    return answer(status, media_type, Body((body,))).render("", "")


def json_response(status: int, content: object) -> bytes:
    """A whole response with a JSON body."""
    return response(status, orjson.dumps(content, option=orjson.OPT_INDENT_2))


def redirect() -> bytes:
    """Sends the client to a path that counts who follows."""
    return _status_line(302) + f"Location: {REDIRECTED_PATH}\r\nContent-Length: 0\r\n\r\n".encode()


def head_length(payload: bytes) -> int:
    """How many bytes of a response come before its body."""
    return payload.index(b"\r\n\r\n") + 4


def truncated(payload: bytes) -> bytes:
    """The head, which promises the whole body, and half of it."""
    start = head_length(payload)
    return payload[: start + (len(payload) - start) // _HALF]


def oversize(payload: bytes, size: int, *, chunked: bool) -> bytes:
    """The same answer with blanks after it, until the body has ``size`` bytes.

    Without ``chunked`` the length is announced; with it nothing in the head gives the size away.
    """
    start = head_length(payload)
    body = payload[start:].ljust(size, _PADDING)
    lines = payload[:start].split(b"\r\n")
    kept = [line for line in lines if line and not line.startswith(b"Content-Length")]
    length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    head = b"\r\n".join([*kept, length, b"", b""])
    return head + (_chunks(body) if chunked else body)


def _chunks(body: bytes) -> bytes:
    pieces = (body[start : start + _CHUNK] for start in range(0, len(body), _CHUNK))
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def _status_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Scripted"
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()
