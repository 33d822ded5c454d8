"""What a request template may name, and where each value comes from."""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from enum import Enum
from operator import attrgetter

from orjson import Fragment

from auction.domain.call import Call, Caller, FieldValue
from auction.domain.value import value
from config.template_syntax import Token

CallParts = tuple[Fragment, Fragment]
"""The caller and the fields as the plain dialect tells them, rendered for all that go to it."""


@value(frozen=True, slots=True)
class Occasion:
    """One ping or post: everything that its request may tell.

    ``fields`` are those that this buyer may see now. ``minimum_bid`` and ``bid`` are rendered
    amounts; ``bid``, ``bid_id`` and ``post_id`` are None in a ping. ``rendered``: the call's parts,
    where they were rendered before.
    """

    call: Call
    campaign: str
    offer: str
    ping_id: str | None
    fields: Mapping[str, FieldValue]
    minimum_bid: str
    timeout_ms: int
    bid: str | None = None
    bid_id: str | None = None
    post_id: str | None = None
    rendered: CallParts | None = None


class CallerIdMode(Enum):
    """How much of the caller's number a buyer gets."""

    WITHHELD = "withheld"
    HASHED = "hashed"
    PLAIN = "plain"


@value(frozen=True, slots=True)
class CallerIdRule:
    """What stands for the caller's number; ``key`` None: hashed without one."""

    mode: CallerIdMode
    key: bytes | None = None

    def value(self, caller: Caller) -> str | None:
        """The E.164 number, 64 hexadecimal digits, or None: withheld by rule or by the caller."""
        number = caller.number
        if number is None or self.mode is CallerIdMode.WITHHELD:
            return None
        if self.mode is CallerIdMode.PLAIN:
            return number
        if self.key is None:
            return hashlib.sha256(number.encode()).hexdigest()
        return hmac.digest(self.key, number.encode(), "sha256").hex()

    def __repr__(self) -> str:
        return f"CallerIdRule({self.mode.value})"


TRACEPARENT: ContextVar[str | None] = ContextVar("traceparent", default=None)
"""What names the trace that the request belongs to, None where none is kept."""

Getter = Callable[[Occasion], object]

_GETTERS: Mapping[str, Getter] = {
    "call_id": attrgetter("call.call_id"),
    "ping_id": attrgetter("ping_id"),
    "campaign": attrgetter("campaign"),
    "offer": attrgetter("offer"),
    "source": attrgetter("call.source"),
    "caller_area_code": attrgetter("call.caller.area_code"),
    "caller_state": attrgetter("call.caller.state"),
    "dialed_number": attrgetter("call.dialed_number"),
    "minimum_bid": attrgetter("minimum_bid"),
    "timeout_ms": attrgetter("timeout_ms"),
    "bid_id": attrgetter("bid_id"),
    "bid": attrgetter("bid"),
    "traceparent": lambda _: TRACEPARENT.get(),
}


def compile_token(token: Token, caller_id: CallerIdRule) -> Getter:
    """A function that gives the token's value after its steps, None for missing."""
    getter = _source_of(token, caller_id)
    if not token.steps:
        return getter
    apply = token.apply
    return lambda occasion: apply(getter(occasion), occasion.call.received_at)


def _source_of(token: Token, caller_id: CallerIdRule) -> Getter:
    name = token.field
    if name is not None:
        return lambda occasion: occasion.fields.get(name)
    if token.name == "caller_id":
        return lambda occasion: caller_id.value(occasion.call.caller)
    return _GETTERS[token.name]
