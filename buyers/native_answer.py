"""An HTTP answer put together from the bytes that come in, without any socket."""

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from buyers.compression import OversizeError, UnreadableEncodingError, unpacked
from buyers.faults import BROKEN, NOT_DECODED, NOT_HTTP, TOO_LARGE, Told
from buyers.transport import MAXIMUM_ANSWER, Answer, RawAnswer, TransportFault

MAXIMUM_HEAD = 65_536
"""How many bytes may come before a body begins, interim answers included."""

MAXIMUM_FIELD = 8_190
MAXIMUM_FIELDS = 128

MAXIMUM_WIRE = 1_048_576
"""How many bytes an answer may take in all: chunks of one byte, trailers and padding are bytes."""

_LENGTH, _CODING, _ENCODING = b"content-length", b"transfer-encoding", b"content-encoding"
_RETRY_AFTER = b"retry-after"
_KNOWN = frozenset({_LENGTH, _CODING, _ENCODING, _RETRY_AFTER})
_FRAMING = frozenset({_LENGTH, _CODING})
_LENGTH_ALONE = frozenset({_LENGTH})
_UNKNOWN = (0, -1)
_SWITCHING = 101
_BODILESS = frozenset({204, 304})
_END_OF_HEAD = b"\r\n\r\n"

Heads = dict[bytes, tuple[int, int]]
"""Heads that were read before, each with the status and the length of a body that it announces."""

KNOWN_HEADS = 64
LONGEST_KNOWN_HEAD = 1_024
"""How many heads are kept until their keeper forgets them, and how many bytes each may have."""


class AnswerReader:
    """Reads the answers of one connection, each begun by ``begin``.

    ``reusable`` tells after an answer whether another request may follow on the connection: the
    answer came whole, nothing came after it, and the buyer keeps the connection.

    Buyers repeat themselves: an answer that comes in one piece, with a head of which all bytes were
    parsed before and a body of just its length, is what it was then. ``heads`` may be shared.
    """

    __slots__ = (
        "_bodiless",
        "_chunks",
        "_complete",
        "_fault",
        "_fields",
        "_fresh",
        "_headed",
        "_headless",
        "_heads",
        "_interim",
        "_kept",
        "_known",
        "_parser",
        "_size",
        "_status",
        "_surplus",
        "_wire",
    )

    def __init__(self, heads: Heads | None = None) -> None:
        self._parser = HttpResponseParser(self)
        self._heads: Heads = {} if heads is None else heads
        self._reset()
        self.begin()

    def begin(self, *, bodiless: bool = False) -> None:
        """Expect an answer; ``bodiless`` when it answers a HEAD."""
        if self._wire:
            self._reset()
        self._headless = bodiless
        self._fresh = not bodiless
        self._complete = False
        self._kept = False

    def _reset(self) -> None:
        self._bodiless = False
        self._chunks: list[bytes] = []
        self._fault: Told | None = None
        self._fields = 0
        self._headed = False
        self._interim = False
        self._known: dict[bytes, bytes] = {}
        self._size = 0
        self._status = 0
        self._surplus = False
        self._wire = 0

    def close(self) -> None:
        """Let go of the parser, which holds this and is held by it."""
        del self._parser

    @property
    def reusable(self) -> bool:
        """Whether the connection may carry another request."""
        return self._kept and not self._surplus and self._fault is None

    def feed(self, data: bytes) -> Answer | None:
        """The answer when it is whole or can't become one, None while more is to come."""
        if self._fresh:
            self._fresh = False
            head, _, body = data.partition(_END_OF_HEAD)
            status, length = self._heads.get(head, _UNKNOWN)
            if len(body) == length:
                self._complete = self._kept = True
                return RawAnswer(status, body)
        self._wire += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            if self._complete:
                self._surplus = True
            elif self._fault is None:
                self._fault = NOT_HTTP
        if self._fault is not None:
            return TransportFault(*self._fault, self._status or None)
        if self._complete or self._bodiless:
            if len(self._heads) < KNOWN_HEADS:
                self._learn(data)
            return self._whole()
        return self._unfinished()

    def finish(self) -> Answer:
        """The answer when nothing more will come."""
        reads_on = self._headed and not self._interim and _FRAMING.isdisjoint(self._known)
        return self._whole() if reads_on else self.broken()

    def broken(self) -> TransportFault:
        """What is left of an answer whose connection broke."""
        return TransportFault(*BROKEN, self._status or None)

    def _learn(self, data: bytes) -> None:
        plain = self._known.keys() == _LENGTH_ALONE and not (self._bodiless or self._headless)
        if not plain or not self.reusable or self._wire != len(data):
            return
        head, _, body = data.partition(_END_OF_HEAD)
        # With anything before the head or instead of its end the rest would be more than the body;
        # a body there must be, or else a head without its end looked whole.
        if 0 < len(body) == self._size and len(head) <= LONGEST_KNOWN_HEAD:
            self._heads[head] = (self._status, self._size)

    def _unfinished(self) -> TransportFault | None:
        if not self._headed and self._wire > MAXIMUM_HEAD:
            self._fault = NOT_HTTP
        elif self._wire > MAXIMUM_WIRE:
            self._fault = TOO_LARGE
        else:
            return None
        return TransportFault(*self._fault, self._status or None)

    def _whole(self) -> Answer:
        chunks, known = self._chunks, self._known
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        if not known:
            return RawAnswer(self._status, body)
        encoding = known.get(_ENCODING)
        if encoding is not None:
            try:
                body = unpacked(body, _text(encoding), MAXIMUM_ANSWER)
            except OversizeError:
                return TransportFault(*TOO_LARGE, self._status)
            except UnreadableEncodingError:
                return TransportFault(*NOT_DECODED, self._status)
        retry_after = known.get(_RETRY_AFTER)
        return RawAnswer(self._status, body, None if retry_after is None else _text(retry_after))

    def on_message_begin(self) -> None:
        """Something follows: after the whole answer it is something that nobody asked for."""
        self._surplus = self._complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header's line; after the head it is a trailer, which means nothing to us."""
        if self._headed:
            return
        self._fields += 1
        if self._fields > MAXIMUM_FIELDS or len(name) + len(value) > MAXIMUM_FIELD:
            self._fault = NOT_HTTP
        key = name.lower()
        if key in _KNOWN:
            if key in _FRAMING and key in self._known:
                self._fault = NOT_HTTP
            self._known.setdefault(key, value)

    def on_headers_complete(self) -> None:
        """The head is whole: what kind of body follows is known."""
        if self._headed or self._fault is not None:
            return
        status = self._parser.get_status_code()
        if status == _SWITCHING:
            self._status, self._fault = status, NOT_HTTP
        if status < 200:
            self._interim = True
            return
        self._headed = True
        self._bodiless = self._headless or status in _BODILESS
        if self._known and not self._bodiless:
            self._check_framing()
        if self._fault is not NOT_HTTP:
            self._status = status

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        if self._complete or self._bodiless:
            return
        if self._interim:
            self._fault = NOT_HTTP
        self._size += len(data)
        if self._size > MAXIMUM_ANSWER:
            self._fault = self._fault or TOO_LARGE
        else:
            self._chunks.append(data)

    def on_message_complete(self) -> None:
        """An answer is whole; an interim one makes room for the next."""
        if self._complete:
            return
        if self._interim:
            self._interim = False
            self._known = {}
            return
        self._complete = True
        self._kept = self._parser.should_keep_alive()

    def _check_framing(self) -> None:
        coding = self._known.get(_CODING)
        if coding is not None and coding.strip().lower() != b"chunked":
            self._fault = NOT_HTTP
        length = self._known.get(_LENGTH, b"")
        if len(length) > 4 and int(length) > MAXIMUM_ANSWER:
            self._fault = TOO_LARGE


def _text(value: bytes) -> str:
    return value.rstrip(b" \t").decode("utf-8", "surrogateescape")
