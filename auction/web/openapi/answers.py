"""What the API answers, as models; keys may be added to any of them."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Money = Annotated[str, Field(pattern=r"^-?[0-9]+(\.[0-9]+)?$")]


class Answer(BaseModel):
    """What all have in common."""

    model_config = ConfigDict(extra="allow")


class Fault(Answer):
    """One fault of the input."""

    path: str
    message: str


class Problem(Answer):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[Fault] = []
    reference: str = ""


class Destination(Answer):
    """Where the switch sends the call."""

    uri: str
    dial_timeout_s: int
    send_digits: str | None
    whisper: str | None


class Route(Answer):
    """Where the call goes."""

    call_id: str
    action: Literal["route", "no_route"]
    routed_by: Literal["auction", "static"] | None
    attempt: int
    offer: str | None
    buyer: str | None
    destination: Destination | None
    price: Money | None
    currency: str | None
    minimum_duration_s: float | None
    expires_at: Instant | None
    reason: str | None
    elapsed_ms: float


class RtjsonDocument(Answer):
    """Where the call goes, for Kamailio's rtjson module."""

    version: Literal["1.0"]
    routing: Literal["serial"]
    routes: list[dict[str, str | int]]
    call_id: str
    action: Literal["route", "no_route"]
    attempt: int


class JambonzVerbs(RootModel[list[dict[str, object]]]):
    """What jambonz does with the call."""


class CallEnded(Answer):
    """There is nowhere to go: the call is over."""

    call_id: str
    action: Literal["ended"]


class EventReceived(Answer):
    """What became of a report."""

    call_id: str
    event_id: str
    result: str


class Attempt(Answer):
    """One route given."""

    attempt: int
    offer: str
    routed_by: str
    price: Money | None
    outcome: str
    reason: str | None


class Cdr(Answer):
    """A call's record."""

    call_id: str
    campaign: str | None
    source: str | None
    dialed_number: str | None
    caller_id: str | None
    started_at: Instant
    answered_at: Instant | None
    ended_at: Instant | None
    total_duration_s: float | None
    connected_duration_s: float | None
    ended_by: str | None
    state: str
    routed_by: str | None
    buyer: str | None
    offer: str | None
    price: Money | None
    currency: str | None
    converted: bool
    conversion_trigger: str | None
    revenue: Money | None
    payout: Money | None
    attempts: list[Attempt]
    quality: int | None


class TraceOffer(Answer):
    """What became of one offer; ``code`` null for the one that won."""

    offer: str
    outcome: str
    code: int | None
    detail: str | None
    bid: Money | None
    ms: float | None
    rank: int | None


class Trace(Answer):
    """Why the call went where it went; times in milliseconds."""

    offers: list[TraceOffer]


class CallShown(Answer):
    """A call's record and its decisions."""

    cdr: Cdr
    trace: Trace | None
    next: list[Trace]
    conversions: list[dict[str, object]]


class CallsListed(Answer):
    """A page of calls; ``next`` goes into ``after``."""

    calls: list[Cdr]
    next: str | None


class LiveCallsCompared(Answer):
    """What a switch's list brought; ``closed`` holds the first thousand."""

    switch: str
    as_of: Instant
    closed: list[str]
    closed_count: int
    live: int


class Converted(Answer):
    """What became of a buyer's report."""

    call_id: str
    event_id: str
    result: str
    amount: Money
    currency: str
    flagged: bool


class DeadLetter(Answer):
    """A webhook's event that was given up."""

    event_id: str
    owner: str
    webhook: str
    event: str
    call_id: str
    at: Instant
    tries: int
    last_error: str | None
    died_at: Instant


class DeadLettersListed(Answer):
    """A page of them; ``next`` goes into ``after``."""

    dead_letters: list[DeadLetter]
    next: str | None


class Resent(Answer):
    """An event that is tried again."""

    event_id: str
    state: str


class AuditEntry(Answer):
    """One change; ``before`` and ``after`` are the object, its secrets as in an export."""

    at: Instant
    actor: str
    origin: str
    revision: int | None
    kind: str
    id: str
    action: str
    before: dict[str, object] | None
    after: dict[str, object] | None
    note: str | None


class AuditListed(Answer):
    """A page of the log, the newest first; ``next`` goes into ``after``."""

    entries: list[AuditEntry]
    next: str | None


class ScheduledChange(Answer):
    """A merge patch that waits for its time, or what became of it."""

    id: str
    kind: str
    item: str
    patch: dict[str, object]
    effective_at: Instant
    actor: str
    created_at: Instant
    state: Literal["pending", "applied", "failed", "cancelled"]
    settled_at: Instant | None
    revision: int | None
    error: str | None


class ScheduledListed(Answer):
    """A page of changes, the one due first at the front; ``next`` goes into ``after``."""

    scheduled_changes: list[ScheduledChange]
    next: str | None


class Token(Answer):
    """A token as it is listed."""

    id: str
    name: str
    scopes: list[str]


class NewToken(Token):
    """A token just made; its text is never shown again."""

    token: str


class TokensListed(Answer):
    """A page of tokens; ``next`` goes into ``after``."""

    tokens: list[Token]
    next: str | None
