"""The port through which requests leave for buyers: plain values in, one future out."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, Protocol, TypeVar

from auction.domain.value import value

MAXIMUM_ANSWER = 65_536
"""The largest answer that is read, in bytes, after decompression."""

DEFAULT_PORTS = {"http": 80, "https": 443}

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where connections go: ``http`` or ``https``, a host name or literal address, a port."""

    scheme: str
    host: str
    port: int
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.scheme, self.host, self.port)))

    def __hash__(self) -> int:
        # Looked up with every request.
        return self._hash

    def __str__(self) -> str:
        return f"{self.scheme}://{self._bracketed}:{self.port}"

    @property
    def authority(self) -> str:
        """What the Host header says: the port only where it is not the scheme's own."""
        own = self.port == DEFAULT_PORTS.get(self.scheme)
        return self._bracketed if own else f"{self._bracketed}:{self.port}"

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


@dataclass(frozen=True, slots=True)
class HeaderBlock:
    """Headers that are the same in every request; ``encoded`` is their lines as sent.

    The repr tells no value: some are credentials.
    """

    pairs: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    encoded: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        lines = "".join(f"{name}: {value}\r\n" for name, value in self.pairs)
        object.__setattr__(self, "encoded", lines.encode())


class PreparedRequest(NamedTuple):
    """One HTTP request, complete but for Host and Content-Length; a tuple, which costs least.

    ``target`` is path and query, percent-encoded. ``constant`` is shared between requests,
    ``headers`` belong to this one. ``body`` None: no body and no Content-Length. ``head`` is
    ``request_head`` of it, where that was made before. ``repeatable``: may be sent once more when a
    kept connection breaks before anything was answered. ``ping_id`` tells which requests belong
    together: a post goes best where its ping was answered.
    """

    origin: Origin
    method: str
    target: str
    constant: HeaderBlock
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    head: bytes | None = None
    repeatable: bool = False
    ping_id: str | None = None

    def __repr__(self) -> str:
        """Neither credentials nor anything of the call."""
        return f"PreparedRequest({self.method} {self.origin})"


def request_head(origin: Origin, method: str, target: str, constant: HeaderBlock) -> bytes:
    """The request line, Host and the constant headers, as they are sent.

    Raises ValueError where a part would add a line of its own.
    """
    start = f"{method} {target} HTTP/1.1\r\nHost: {origin.authority}\r\n".encode()
    head = start + constant.encoded
    lines = 2 + len(constant.pairs)
    if head.count(b"\n") != lines or head.count(b"\r") != lines:
        raise ValueError("the request holds a line break")
    return head


@value(frozen=True, slots=True)
class RawAnswer:
    """A whole answer. ``body`` is decompressed, at most ``MAXIMUM_ANSWER`` bytes."""

    status: int
    body: bytes = field(repr=False)
    retry_after: str | None = None


class FaultKind(Enum):
    """How an exchange failed."""

    FORBIDDEN = "address not allowed"
    UNREACHABLE = "no connection"
    OWN_LIMIT = "own limit"
    PROXY = "proxy of ours"
    BROKEN = "connection broken"
    MALFORMED = "not readable as HTTP"
    OVERSIZE = "answer too large"
    CRASHED = "internal error"


_NEVER_SENT = frozenset(
    {FaultKind.FORBIDDEN, FaultKind.UNREACHABLE, FaultKind.OWN_LIMIT, FaultKind.PROXY}
)


@dataclass(frozen=True, slots=True)
class TransportFault:
    """No whole answer came. ``detail`` is our wording; ``status`` set: only the body failed."""

    kind: FaultKind
    detail: str
    status: int | None = None

    @property
    def never_sent(self) -> bool:
        """Whether not a byte of the request can have reached the buyer."""
        return self.kind in _NEVER_SENT


Answer = RawAnswer | TransportFault


class Transport(Protocol):
    """Sends requests to buyers."""

    def request(
        self,
        prepared: PreparedRequest,
        read: Callable[[Answer], Result],
        opened: Callable[[], None] | None = None,
    ) -> asyncio.Future[Result]:
        """Send one request; the future's result is what ``read`` makes of the answer.

        Never raises and sets no time limit. Cancelling the future closes its connection, which is
        never reused. ``opened`` is called before the first byte may leave. ``read`` must not raise.
        """

    async def close(self) -> None:
        """Close every connection."""
