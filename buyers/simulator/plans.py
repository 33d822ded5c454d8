"""A script's endpoint made ready to answer: prepared bytes for each behaviour, and their fate."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from buyers.simulator import replies
from buyers.simulator.behaviour import (
    ACCEPTANCES,
    BIDS,
    PING_REFUSALS,
    POST_REFUSALS,
    SPOILED,
    Weights,
    status_of,
)
from buyers.simulator.dialects import Dialect
from buyers.simulator.models import Endpoint, PingEndpoint, PostEndpoint
from buyers.simulator.replies import Answer, Delivery, Reply
from buyers.simulator.templates import Body, compile_body

_DOCTYPE = '<!DOCTYPE answer [<!ENTITY word "OK">]>'

_NOTHING: Mapping[str, object] = {}

Shape = Callable[[bytes], Reply]
"""What becomes of a good answer."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One behaviour.

    ``says_yes`` and ``says_no``: what the other side can read; ``taken``: the buyer took the call.
    """

    answer: Answer
    shape: Shape
    says_yes: bool = False
    says_no: bool = False
    taken: bool = False

    def reply(self, amount: str, bid_id: str) -> Reply:
        """The reply to one request, its latency still to be added."""
        return self.shape(self.answer.render(amount, bid_id))


@dataclass(frozen=True, slots=True)
class Plans:
    """All behaviours of one endpoint and how often each is due."""

    weights: Weights
    plans: Mapping[str, Plan]


def ping_plans(script: PingEndpoint) -> Plans:
    """Every behaviour that the script gives weight to."""
    weights = Weights(script.behaviours)
    fixed: dict[str, object] = {
        "currency": script.currency,
        "destination": script.destination,
        "expires_in_s": script.expires_in_s,
        "minimum_duration_s": script.minimum_duration_s,
        "reason": script.reason,
    }
    words = _Words(script.dialect, fixed, amount_as_number=script.amount_as == "number")
    return Plans(weights, {name: _ping_plan(name, script, words) for name in weights.names})


def post_plans(script: PostEndpoint) -> Plans:
    """Every behaviour that the script gives weight to, and the two that repeats may need."""
    weights = Weights(script.behaviours)
    fixed: dict[str, object] = {"destination": script.destination, "reason": script.reason}
    words = _Words(script.dialect, fixed, amount_as_number=False)
    names = {*weights.names, "accept", "reject"}
    return Plans(weights, {name: _post_plan(name, script, words) for name in names})


@dataclass(frozen=True, slots=True)
class _Words:
    """A dialect with the fixed values of one endpoint."""

    dialect: Dialect
    fixed: Mapping[str, object]
    amount_as_number: bool

    def yes(
        self, values: Mapping[str, object] = _NOTHING, *, status: int = 200, prefix: str = ""
    ) -> Answer:
        return self._answer(self.dialect.accepted, values, status, prefix)

    def no(self) -> Answer:
        return self._answer(self.dialect.refused)

    def no_with_price(self) -> Answer:
        return self._answer(self.dialect.refused_with_price)

    def raw(self, body: bytes, status: int = 200) -> Answer:
        return replies.answer(status, self.dialect.media_type, Body((body,)))

    def _answer(
        self,
        template: JsonValue,
        values: Mapping[str, object] = _NOTHING,
        status: int = 200,
        prefix: str = "",
    ) -> Answer:
        body = compile_body(
            self.dialect.format,
            template,
            {**self.fixed, **values},
            amount_as_number=self.amount_as_number,
            prefix=prefix,
        )
        return replies.answer(status, self.dialect.media_type, body)


def _ping_plan(name: str, script: PingEndpoint, words: _Words) -> Plan:
    if name in BIDS:
        prefix = _DOCTYPE if name == "doctype" else ""
        return Plan(words.yes(BIDS[name], prefix=prefix), Reply, says_yes=True)
    if name in PING_REFUSALS:
        return Plan(_refusal(name, script, words), Reply, says_no=True)
    return _odd_plan(name, script, words)


def _refusal(name: str, script: PingEndpoint, words: _Words) -> Answer:
    if name == "refusal_with_price":
        return words.no_with_price()
    return words.no() if name == "refusal" else words.raw(b"", script.no_bid_status)


def _post_plan(name: str, script: PostEndpoint, words: _Words) -> Plan:
    if name in ACCEPTANCES:
        prefix = _DOCTYPE if name == "doctype" else ""
        answer = words.yes(ACCEPTANCES[name], prefix=prefix)
        return Plan(answer, Reply, says_yes=True, taken=True)
    if name in POST_REFUSALS:
        return Plan(words.no(), Reply, says_no=True)
    return _odd_plan(name, script, words)


def _odd_plan(name: str, script: Endpoint, words: _Words) -> Plan:
    status = status_of(name)
    if status is not None:
        return Plan(words.yes(status=status), Reply)
    if name in SPOILED:
        return Plan(words.yes(), _spoiling(name, script), taken=True)
    return _broken_plan(name, words)


def _spoiling(name: str, script: Endpoint) -> Shape:
    late_s, drip_s, size = script.late_ms / 1000, script.drip_ms / 1000, script.oversize_bytes
    shapes: dict[str, Shape] = {
        "late": lambda whole: Reply(whole, delay_s=late_s),
        "drip": lambda whole: Reply(
            whole, delivery=Delivery.DRIP, at_once=replies.head_length(whole), drip_s=drip_s
        ),
        "drip_head": lambda whole: Reply(whole, delivery=Delivery.DRIP, drip_s=drip_s),
        "truncated": lambda whole: Reply(replies.truncated(whole), delivery=Delivery.THEN_CLOSE),
        "reset_after_headers": lambda whole: Reply(
            replies.truncated(whole), delivery=Delivery.THEN_RESET
        ),
        "oversize": lambda whole: _oversize(whole, size, chunked=False),
        "oversize_chunked": lambda whole: _oversize(whole, size, chunked=True),
    }
    return shapes[name]


def _oversize(whole: bytes, size: int, *, chunked: bool) -> Reply:
    return Reply(replies.oversize(whole, size, chunked=chunked), delivery=Delivery.PACED)


def _broken_plan(name: str, words: _Words) -> Plan:
    nothing = Answer(b"", None)
    plans = {
        "hang": Plan(nothing, lambda _: Reply(b"", delivery=Delivery.NEVER)),
        "reset": Plan(nothing, lambda _: Reply(b"", delivery=Delivery.THEN_RESET)),
        "close": Plan(nothing, lambda _: Reply(b"", delivery=Delivery.THEN_CLOSE)),
        "garbage": Plan(words.raw(replies.GARBAGE_BODY), Reply),
        "garbage_bytes": Plan(
            Answer(replies.GARBAGE_BYTES, None),
            lambda whole: Reply(whole, delivery=Delivery.THEN_CLOSE),
        ),
        "empty": Plan(words.raw(b""), Reply),
        "redirect": Plan(Answer(replies.redirect(), None), Reply),
    }
    return plans[name]
