"""What follows a failed attempt: requests decided one by one on locked rows. No I/O here."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from math import ceil
from typing import Final, Protocol

import asyncpg

from auction.domain.call import Call
from auction.domain.conversions import Side
from auction.domain.ids import CallId, CampaignId, OfferId
from auction.domain.lifecycle import CallState
from auction.domain.next_attempt import AlreadyConverted, NextRequest, NoSuchAttempt, UnknownCall
from auction.domain.opening import AlreadyDecided, BeingDecided, OtherContent
from auction.domain.reasons import Reason
from auction.domain.usage import NOTHING, Change
from storage.books import Books
from storage.holds import Hold, HoldState

LARGEST_EPOCH: Final = 2**31 - 1

_GIVEN: Final = frozenset(
    {CallState.LATE, CallState.ROUTED, CallState.ANSWERED, CallState.ENDED, CallState.LOST}
)
"""States of calls with a route; one that is late was given after all when its switch says so."""

_REASONS: Final = {reason.outcome: reason for reason in Reason}

StepKey = tuple[CallId, int]
"""A call and the attempt that failed."""


@dataclass(frozen=True, slots=True)
class Step:
    """A request that is known, and its answer once there is one."""

    fingerprint: bytes
    answer: bytes | None


@dataclass(frozen=True, slots=True)
class LockedCall:
    """A locked call: ``row`` as it was found, the rest as changed since.

    ``lapsed``: its last decision binds nobody any more, and a repeat decides anew.
    """

    row: asyncpg.Record
    state: CallState
    attempt: int
    epoch: int
    decide_by: datetime
    lapsed: bool

    @classmethod
    def load(cls, row: asyncpg.Record) -> "LockedCall":
        """A call from a row of ``lock_next``."""
        reported = row["answered_at"] is not None or row["ended_at"] is not None
        return cls(
            row=row,
            state=CallState(row["state"]),
            attempt=row["attempt"],
            epoch=row["epoch"],
            decide_by=row["decide_by"],
            lapsed=not (row["binding"] or reported),
        )


@dataclass(frozen=True, slots=True)
class Claimed:
    """A call that is ours to decide for another attempt, and the offers that failed."""

    epoch: int
    attempt: int
    call: Call
    row: asyncpg.Record
    tried: tuple[tuple[OfferId, Reason], ...]


@dataclass(frozen=True, slots=True)
class Uncollected:
    """The call's late route is to be collected first, since something follows from that."""

    call_id: CallId
    attempt: int


class Follows(Protocol):
    """Says whether more than the call's state changes when its late route is collected."""

    def __call__(self, hold: Hold, campaign: CampaignId | None, *, test: bool) -> bool: ...


PassResult = (
    Claimed
    | Uncollected
    | AlreadyConverted
    | AlreadyDecided
    | BeingDecided
    | OtherContent
    | UnknownCall
    | NoSuchAttempt
)


@dataclass(slots=True)
class NextPass:
    """One transaction over some requests: what was locked, and what has changed.

    ``moved`` calls, ``asked`` steps and ``collected`` attempts are to be stored.
    """

    now: datetime
    calls: dict[CallId, LockedCall]
    steps: dict[StepKey, Step]
    books: Books
    unsealed: Callable[[asyncpg.Record], Call]
    follows: Follows
    new_epoch: Callable[[], int]
    moved: set[CallId] = field(default_factory=set)
    asked: dict[StepKey, NextRequest] = field(default_factory=dict)
    collected: set[StepKey] = field(default_factory=set)

    def decide(self, request: NextRequest) -> PassResult:
        """Settle one request, each seeing what the ones before it did."""
        call = self.calls.get(request.call_id)
        if call is None:
            return UnknownCall()
        step = self.steps.get((request.call_id, request.attempt))
        if step is None:
            return self._fail(request, call)
        if step.fingerprint != request.fingerprint:
            return OtherContent()
        return self._repeat(request, call, step)

    def _repeat(self, request: NextRequest, call: LockedCall, step: Step) -> PassResult:
        """The same request again."""
        is_latest = call.attempt == request.attempt + 1
        if step.answer is not None and not (is_latest and self._decides_anew(call)):
            if is_latest and call.state is CallState.LATE:
                if self._brings_more(call):
                    return Uncollected(request.call_id, call.attempt)
                self._collect(request.call_id, call)
            return AlreadyDecided(step.answer)
        if call.attempt == request.attempt:
            return self._converted(call)
        if call.state is CallState.REROUTING and call.decide_by > self.now:
            return BeingDecided(ceil((call.decide_by - self.now) / timedelta(milliseconds=1)))
        return self._claim(request, call)

    def _decides_anew(self, call: LockedCall) -> bool:
        """Whether its last decision may be replaced: not a late route that a buyer has reported."""
        lost = call.state is CallState.LOST
        sold = Side.BUYER in self.books.booked.get(call.row["call_id"], {})
        return call.lapsed and not (lost and sold)

    def _fail(self, request: NextRequest, call: LockedCall) -> PassResult:
        """The first that is heard of this failure."""
        hold = self.books.hold(request.call_id, request.attempt)
        current = call.attempt == request.attempt and call.state in _GIVEN
        if not current or hold is None:
            return NoSuchAttempt()
        if self._brings_more(call):
            return Uncollected(request.call_id, call.attempt)
        if self._has_converted(request.call_id):
            if call.state is CallState.LATE:
                self._collect(request.call_id, call)
            answer = self._converted(call)
            self.books.put(_freed(hold, request))
            self._ask(request)
            return answer
        self.books.put(_failed(hold, request, call.row))
        return self._claim(request, call)

    def _brings_more(self, call: LockedCall) -> bool:
        """Whether the call has a late route, and collecting that is a transaction of its own."""
        hold = self.books.hold(call.row["call_id"], call.attempt)
        if hold is None or call.state is not CallState.LATE:
            return False
        return self.follows(hold, call.row["campaign"], test=call.row["test"])

    def _has_converted(self, call_id: CallId) -> bool:
        booked = self.books.booked.get(call_id, {}).get(Side.BUYER)
        return booked is not None and not booked.withdrawn

    def _claim(self, request: NextRequest, call: LockedCall) -> Claimed:
        claimed = self.calls[request.call_id] = replace(
            call,
            state=CallState.REROUTING,
            attempt=request.attempt + 1,
            epoch=(call.epoch + self.new_epoch() - 1) % LARGEST_EPOCH + 1,
            decide_by=self.now + timedelta(milliseconds=request.decide_within_ms),
            lapsed=False,
        )
        self.moved.add(request.call_id)
        self._ask(request)
        tried = _tried(self.books.holds_of(request.call_id))
        return Claimed(claimed.epoch, claimed.attempt, self.unsealed(call.row), call.row, tried)

    def _ask(self, request: NextRequest) -> None:
        key = request.call_id, request.attempt
        self.steps[key] = Step(request.fingerprint, None)
        self.asked[key] = request

    def _collect(self, call_id: CallId, call: LockedCall) -> None:
        """The switch has come back for a late decision: now it is a route like any other."""
        self.calls[call_id] = replace(call, state=CallState.ROUTED)
        self.moved.add(call_id)
        self.collected.add((call_id, call.attempt))

    def _converted(self, call: LockedCall) -> AlreadyConverted:
        return AlreadyConverted(call.attempt + 1, self.unsealed(call.row), call.row["campaign"])


def _failed(hold: Hold, request: NextRequest, row: asyncpg.Record) -> Hold:
    """The attempt as it failed, with the times that were the call's until now."""
    failed = hold.failed(request.reason.reason.outcome, request.sip_code)
    return replace(
        failed,
        answered_at=failed.answered_at or row["answered_at"],
        ended_at=failed.ended_at or row["ended_at"],
        connected_duration_s=_known(failed.connected_duration_s, row["connected_duration_s"]),
    )


def _known(first: Decimal | None, second: Decimal | None) -> Decimal | None:
    return second if first is None else first


def _freed(hold: Hold, request: NextRequest) -> Hold:
    """A sold attempt that the switch gave up: what it has used stays, and why it failed is kept."""
    holding = Change(0, hold.holding.used, NOTHING)
    return replace(
        hold,
        holding=holding,
        sweep_at=hold.sweep_from(holding, hold.lease_until),
        reason=request.reason.reason.outcome,
        sip_code=request.sip_code,
    )


def _tried(holds: Iterable[Hold]) -> tuple[tuple[OfferId, Reason], ...]:
    failed = (hold for hold in holds if hold.state is HoldState.FAILED)
    return tuple(
        (hold.offer, _REASONS.get(hold.reason or "", Reason.ATTEMPT_FAILED))
        for hold in sorted(failed, key=lambda hold: hold.attempt)
    )
