"""Random buyers for both transports: what each request is answered, byte by byte, and what then."""

import asyncio
import gzip
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise

from hypothesis import strategies as st

from buyers.transport import Answer, HeaderBlock, PreparedRequest, Transport
from tests.contract.raw_buyer import Connection, RawBuyer, raw_buyer

HEADERS = HeaderBlock((("Content-Type", "application/json"),))
PATIENCE_S = 5.0


class Framing(Enum):
    """What tells where a body ends."""

    SIZED = "sized"
    CHUNKED = "chunked"
    UNTIL_CLOSED = "until closed"
    OLD = "1.0"


class After(Enum):
    """What the buyer does with its connection once it has sent what it sends."""

    KEEP = "keep"
    SAY_CLOSE = "say close"
    CLOSE = "close"
    RESET = "reset"
    HANG = "hang"


@dataclass(frozen=True)
class Turn:
    """How one request is answered.

    ``filling`` bytes follow the request's tag in the body. ``cut`` is how much of the answer is
    sent, ``surplus`` how many answers that nobody asked for follow at once, ``damage`` puts bytes
    in place of others. ``gaps`` are where it is cut in pieces.
    """

    status: int = 200
    framing: Framing = Framing.SIZED
    after: After = After.KEEP
    packed: bool = False
    filling: int = 0
    chunk: int = 7
    interim: tuple[int, ...] = ()
    extra: tuple[bytes, ...] = ()
    retry_after: bool = False
    cut: float = 1.0
    surplus: int = 0
    gaps: tuple[float, ...] = ()
    damage: tuple[tuple[float, bytes], ...] = ()

    @property
    def whole(self) -> bool:
        return self.cut == 1.0

    def body(self, tag: int) -> bytes:
        return b"<%d>" % tag + b"z" * self.filling

    def data(self, tag: int) -> bytes:
        """The bytes that answer request number ``tag``."""
        interim = b"".join(b"HTTP/1.1 %d Wait\r\n\r\n" % status for status in self.interim)
        data = bytearray(interim + self._head(tag) + self._content(tag))
        for place, instead in self.damage:
            at = int(place * (len(data) - 1))
            data[at : at + 1] = instead
        return bytes(data[: round(self.cut * len(data))]) + stale() * self.surplus

    def _plain(self, tag: int) -> bytes:
        if self.status in {204, 304}:
            return b""
        return gzip.compress(self.body(tag), mtime=0) if self.packed else self.body(tag)

    def _head(self, tag: int) -> bytes:
        old = self.framing is Framing.OLD
        lines = [b"HTTP/1.%d %d Word" % (0 if old else 1, self.status), *self.extra]
        if self.retry_after:
            lines.append(b"Retry-After: %d" % tag)
        if self.packed:
            lines.append(b"Content-Encoding: gzip")
        if self.after is After.SAY_CLOSE:
            lines.append(b"Connection: close")
        if self.framing is Framing.CHUNKED and self.status not in {204, 304}:
            lines.append(b"Transfer-Encoding: chunked")
        if self.framing is Framing.SIZED and self.status not in {204, 304}:
            lines.append(b"Content-Length: %d" % len(self._plain(tag)))
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def _content(self, tag: int) -> bytes:
        plain = self._plain(tag)
        if self.framing is not Framing.CHUNKED or self.status in {204, 304}:
            return plain
        parts = [plain[at : at + self.chunk] for at in range(0, len(plain), self.chunk)]
        return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def stale() -> bytes:
    """An answer that belongs to nobody."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n<stale>"


def turns(*, damaged: bool) -> st.SearchStrategy[Turn]:
    """How a request may be answered; ``damaged`` answers are any bytes that resemble HTTP."""
    places = st.floats(0, 1, allow_nan=False)
    one = st.builds(
        Turn,
        status=st.sampled_from([200, 200, 200, 201, 204, 302, 304, 404, 429, 503]),
        framing=st.sampled_from(Framing),
        after=st.sampled_from(After),
        packed=st.booleans(),
        filling=st.integers(0, 40) | st.integers(0, 70_000),
        chunk=st.integers(1, 100_000).map(lambda size: size if size > 20 else size * 1_000 + 5),
        interim=st.lists(st.sampled_from([100, 102, 103]), max_size=2).map(tuple),
        extra=st.lists(st.sampled_from(EXTRA), max_size=3, unique=True).map(tuple),
        retry_after=st.booleans(),
        cut=st.just(1.0) | places,
        surplus=st.sampled_from([0, 0, 0, 1, 2]),
        gaps=st.lists(places, max_size=3).map(tuple),
        damage=st.lists(st.tuples(places, st.sampled_from(DAMAGE)), min_size=1, max_size=3).map(
            tuple
        )
        if damaged
        else st.just(()),
    )
    return one.map(possible)


EXTRA = [
    b"Server: buyer",
    b"X-Empty:",
    b"x-odd:   spaced  ",
    b"Set-Cookie: a=b",
    b"Keep-Alive: timeout=5",
    b"X-Text: \xc3\xbc \xff",
    b"Vary: a, b",
]
DAMAGE = [b"", b"\r", b"\n", b"\r\n", b"0", b"9", b":", b" ", b"\x00", b"Z", b"\r\n\r\n", b"\xff"]


def possible(turn: Turn) -> Turn:
    """The turn where both transports can know what is meant, whatever comes when."""
    keys = dict(turn.__dict__)
    ends = turn.framing in {Framing.UNTIL_CLOSED, Framing.OLD}
    if ends or not turn.whole or turn.after is After.SAY_CLOSE:
        # A surplus would be a part of the answer, or what aiohttp takes for nonsense.
        keys["surplus"] = 0
    if keys["surplus"] or turn.damage:
        # What comes after the answer has been taken can't be told from the next one's answer.
        keys["gaps"] = ()
    if turn.after is After.KEEP and (ends or turn.damage or not turn.whole):
        keys["after"] = After.CLOSE
    if turn.after is After.RESET:
        # What was sent before a reset may or may not arrive.
        keys.update(cut=0.0, surplus=0)
    if turn.after is After.HANG:
        # One that is refused already would be given up by chance.
        keys.update(cut=min(turn.cut, 0.9), filling=min(turn.filling, 40), surplus=0, damage=())
    return Turn(**keys)


@dataclass
class Script:
    """Plays the turns to whoever asks: request number n gets turn n."""

    turns: list[Turn]
    said: list[asyncio.Event] = field(init=False)

    def __post_init__(self) -> None:
        self.said = [asyncio.Event() for _ in self.turns]

    async def play(self, connection: Connection, buyer: RawBuyer) -> None:
        while True:
            request = await connection.request()
            tag = int(request.body)
            try:
                await self._answer(connection, tag)
            finally:
                self.said[tag].set()

    async def _answer(self, connection: Connection, tag: int) -> None:
        turn = self.turns[tag]
        data = turn.data(tag)
        for start, end in _spans(len(data), turn.gaps):
            await connection.send(data[start:end])
            await asyncio.sleep(0)
        if turn.after is After.RESET:
            connection.reset()
            raise ConnectionError
        if turn.after is After.HANG:
            self.said[tag].set()
            await connection.until_closed()
            raise ConnectionError
        if turn.after in {After.CLOSE, After.SAY_CLOSE}:
            connection.writer.close()
            await connection.writer.wait_closed()
            raise ConnectionError


def _spans(length: int, gaps: tuple[float, ...]) -> list[tuple[int, int]]:
    places = sorted({0, length, *(int(gap * length) for gap in gaps)})
    return list(pairwise(places))


async def outcomes(transport: Transport, groups: list[list[Turn]]) -> list[Answer | None]:
    """What the requests of each group, sent at once, became; None: given up."""
    script = Script([turn for group in groups for turn in group])
    found: list[Answer | None] = []
    async with raw_buyer(script.play) as buyer:
        for group in groups:
            tags = range(len(found), len(found) + len(group))
            asked = [_ask(transport, buyer, script, tag) for tag in tags]
            found.extend(await asyncio.gather(*asked))
    return found


async def _ask(transport: Transport, buyer: RawBuyer, script: Script, tag: int) -> Answer | None:
    body = str(tag).encode()
    request = PreparedRequest(buyer.origin, "POST", "/", HEADERS, body=body)
    asked = transport.request(request, _unread)
    async with asyncio.timeout(PATIENCE_S):
        # The connection's end is part of the turn: what the next request finds is settled.
        await script.said[tag].wait()
    if script.turns[tag].after is After.HANG and not asked.done():
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        return None
    async with asyncio.timeout(PATIENCE_S):
        return await asked


def _unread(answer: Answer) -> Answer:
    return answer
