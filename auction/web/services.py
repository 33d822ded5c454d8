"""What the handlers need, as narrow protocols; ``auction.app`` puts them together."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from auction.domain.call import Call
from auction.domain.call_list import RecordedEntry
from auction.domain.call_record import CallRecord
from auction.domain.ids import CallId
from auction.domain.next_attempt import NextRequest, NoSuchAttempt, UnknownCall
from auction.domain.opening import OtherContent
from auction.domain.switch_events import CallEvent, EventResult
from auction.domain.terms import Catalogue
from auction.ports import Clock
from auction.web.drain import Drain


class Reception(Protocol):
    """Where calls are decided."""

    async def decide(self, call: Call, fingerprint: bytes) -> bytes | OtherContent:
        """The answer's JSON. Raises StorageUnavailableError when none can be given in time."""


class Rerouter(Protocol):
    """Where failed attempts are followed by others."""

    async def decide(
        self, request: NextRequest, timeout_ms: int | None
    ) -> bytes | OtherContent | UnknownCall | NoSuchAttempt:
        """The answer's JSON. Raises StorageUnavailableError when none can be given in time."""


class Events(Protocol):
    """Where the switch's reports go."""

    async def record(self, event: CallEvent) -> EventResult:
        """Apply one report. Raises StorageUnavailableError."""


class Records(Protocol):
    """What is kept of calls."""

    async def get_call(self, call_id: CallId) -> CallRecord | None:
        """A call's record, None when there is no such call. Raises StorageUnavailableError."""

    async def get_entries(self, call_id: CallId) -> tuple[RecordedEntry, ...]:
        """How the money of a call came about, in order. Raises StorageUnavailableError."""


class Revisions(Protocol):
    """The revisions of the catalogue that are kept."""

    async def catalogue_at(self, revision: int) -> Catalogue | None:
        """The catalogue as it was, None when it is not kept. Raises StorageUnavailableError."""


class Grant(Protocol):
    """What a token allows; ``buyer`` and ``source`` narrow what it sees."""

    @property
    def id(self) -> str:
        """Names the token, never what it is."""

    @property
    def name(self) -> str:
        """What it was called by whoever made it."""

    @property
    def scopes(self) -> frozenset[str]:
        """Any of ``calls``, ``read``, ``admin``, ``pii``, ``postback``."""

    @property
    def buyer(self) -> str | None:
        """Only this buyer's calls."""

    @property
    def source(self) -> str | None:
        """Only this source's calls."""

    @property
    def switch(self) -> str | None:
        """The switch that calls come from."""


class Tokens(Protocol):
    """Who may call."""

    async def lookup(self, token: str) -> Grant | None:
        """What a token allows, None when it is not known. Raises StorageUnavailableError."""

    def wait_s(self, grant: Grant) -> float:
        """How long the token must wait before it may ask, in seconds.

        0: not at all, and this request counts against its rate limit.
        """


Fingerprint = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Signing:
    """What requests of switches are checked by. ``public_url``: ``https://host``, empty: any.

    Without secrets of a kind, signatures of that kind are not looked at.
    """

    twilio: tuple[str, ...] = field(default=(), repr=False)
    jambonz: tuple[str, ...] = field(default=(), repr=False)
    public_url: str = ""


@dataclass(frozen=True, slots=True)
class ApiServices:
    """Everything behind the switch-facing API.

    ``default_country`` is ISO alpha-2. ``fingerprint`` is a keyed hash: without the key nobody can
    find out by trying what was hashed. More than ``max_requests`` are not handled at once.
    ``signing``: the secrets that switches sign their requests with, and under which address they
    know this service.
    """

    reception: Reception
    rerouter: Rerouter
    events: Events
    records: Records
    revisions: Revisions
    tokens: Tokens
    clock: Clock
    default_country: Callable[[], str]
    fingerprint: Fingerprint
    drain: Drain = field(default_factory=Drain)
    max_requests: int = 10_000
    signing: Signing = field(default_factory=Signing)


Check = Callable[[], Awaitable[str | None]]
"""What is wrong, None when all is well. StorageUnavailableError counts as ``unreachable``."""


@dataclass(frozen=True, slots=True)
class OpsServices:
    """Everything behind the ops port.

    ``checks`` decide readiness, by name (``database``, ``catalogue``). ``refresh`` brings the
    metrics that are facts of the database up to date, ``show_checks`` what the checks came to;
    ``exposition`` renders the text.
    """

    checks: Mapping[str, Check]
    exposition: Callable[[], Awaitable[bytes]]
    refresh: Callable[[], Awaitable[None]]
    show_checks: Callable[[Mapping[str, bool]], None]
    drain: Drain = field(default_factory=Drain)
