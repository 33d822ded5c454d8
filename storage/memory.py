"""The ledger in memory: PostgreSQL's rules, for tests and for deciding a call again.

One process, nothing durable; it passes the same contract suite as ``storage.ledger``.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from auction.domain.decision import (
    Action,
    AlreadyDecided,
    BeingDecided,
    Candidate,
    Finish,
    Finished,
    FinishResult,
    NothingFits,
    Opened,
    Opening,
    OpenResult,
    OtherContent,
    PastCall,
    Reserved,
    ReserveRequest,
    ReserveResult,
    StoredPlan,
    Superseded,
)
from auction.domain.duplicates import is_duplicate
from auction.domain.ids import CallId, OwnerId
from auction.domain.reasons import Reason
from auction.domain.terms import Measure
from auction.domain.usage import Change, Units, Usage, apply, refusal
from auction.domain.windows import window_starts


@dataclass(slots=True)
class _StoredCall:
    opening: Opening
    epoch: int
    decide_by: datetime
    answer: bytes | None = None
    binding: bool = True
    plan: StoredPlan | None = None
    held: Candidate | None = None


@dataclass(slots=True)
class MemoryLedger:
    """Ledger and UsageView in one; ``now`` is the clock of its leases and claims."""

    now: Callable[[], datetime]
    usage: dict[OwnerId, Usage] = field(default_factory=dict)
    traces: dict[CallId, bytes] = field(default_factory=dict)
    _calls: dict[CallId, _StoredCall] = field(default_factory=dict)
    _routes: dict[str, list[tuple[CallId, PastCall]]] = field(default_factory=dict)

    async def open(self, opening: Opening) -> OpenResult:
        """See ``auction.ports.Ledger``."""
        stored = self._calls.get(opening.call.call_id)
        decide_by = self.now() + timedelta(milliseconds=opening.decide_within_ms)
        if stored is None or (stored.answer is not None and not stored.binding):
            epoch = 1 if stored is None else stored.epoch + 1
            self._calls[opening.call.call_id] = _StoredCall(opening, epoch, decide_by)
            return Opened(epoch, self._past_calls(opening.call.caller.number))
        if stored.opening.fingerprint != opening.fingerprint:
            return OtherContent()
        if stored.answer is not None:
            return AlreadyDecided(stored.answer)
        if stored.decide_by > self.now():
            return BeingDecided(
                int((stored.decide_by - self.now()) / timedelta(milliseconds=1)) + 1
            )
        stored.epoch += 1
        stored.decide_by = decide_by
        past = self._past_calls(opening.call.caller.number)
        return Opened(stored.epoch, past, stored.plan, stored.opening.call.received_at)

    async def reserve(self, request: ReserveRequest) -> ReserveResult:
        """See ``auction.ports.Ledger``."""
        stored = self._calls[request.call.call_id]
        if stored.epoch != request.epoch or stored.answer is not None:
            return Superseded(stored.answer)
        self._give_back(stored)
        refused: list[tuple[int, Reason]] = []
        for position in range(request.start, len(request.candidates)):
            candidate = request.candidates[position]
            reason = self._refusal(request, candidate)
            if reason is None:
                self._hold(stored, request, position)
                return Reserved(position, tuple(refused))
            refused.append((position, reason))
        stored.plan = self._stored_plan(request, None)
        return NothingFits(tuple(refused))

    async def finish(self, finish: Finish) -> FinishResult:
        """See ``auction.ports.Ledger``."""
        stored = self._calls[finish.call.call_id]
        if stored.epoch != finish.epoch or stored.answer is not None:
            return Superseded(stored.answer)
        if finish.action is Action.NO_ROUTE:
            self._give_back(stored)
        stored.answer = finish.answer
        stored.binding = finish.binding
        self.traces[finish.call.call_id] = finish.trace
        return Finished()

    async def refresh(self, owners: Iterable[OwnerId]) -> None:
        """Nothing to fetch: the readings are the truth."""

    def read(self) -> Mapping[OwnerId, Usage]:
        """The usage of every owner that has any."""
        return self.usage

    def _refusal(self, request: ReserveRequest, candidate: Candidate) -> Reason | None:
        if candidate.duplicates is not None and not request.call.test:
            past = self._past_calls(request.call.caller.number)
            rule, now = candidate.duplicates, request.call.received_at
            if is_duplicate(rule, candidate.offer, candidate.buyer, request.campaign, past, now):
                return Reason.DUPLICATE_CALLER
        for limits in candidate.owners:
            starts = window_starts(request.call.received_at, limits.zone)
            usage = self.usage.get(limits.owner, Usage())
            reason = refusal(usage, limits, starts, candidate.units)
            if reason is not None:
                return reason
        return None

    def _hold(self, stored: _StoredCall, request: ReserveRequest, position: int) -> None:
        candidate = request.candidates[position]
        self._change(stored, candidate, live=1, sign=1)
        stored.held = candidate
        stored.plan = self._stored_plan(request, position)
        number = request.call.caller.number
        if number is not None and not request.call.test:
            past = PastCall(candidate.offer, candidate.buyer, request.campaign, self.now())
            self._routes.setdefault(number, []).append((request.call.call_id, past))

    def _give_back(self, stored: _StoredCall) -> None:
        if stored.held is None:
            return
        self._change(stored, stored.held, live=-1, sign=-1)
        number = stored.opening.call.caller.number
        if number in self._routes:
            call_id = stored.opening.call.call_id
            self._routes[number] = [each for each in self._routes[number] if each[0] != call_id]
        stored.held = None
        if stored.plan is not None:
            stored.plan = replace(stored.plan, position=None)

    def _change(self, stored: _StoredCall, candidate: Candidate, *, live: int, sign: int) -> None:
        used = _only_calls(candidate.units, sign)
        pending = _all_but_calls(candidate.units, sign)
        for limits in candidate.owners:
            starts = window_starts(stored.opening.call.received_at, limits.zone)
            usage = self.usage.get(limits.owner, Usage())
            self.usage[limits.owner] = apply(usage, starts, Change(live, used, pending))

    def _past_calls(self, number: str | None) -> tuple[PastCall, ...]:
        return tuple(past for _, past in self._routes.get(number or "", ()))

    @staticmethod
    def _stored_plan(request: ReserveRequest, position: int | None) -> StoredPlan:
        return StoredPlan(request.candidates, position, request.trace, request.call.received_at)


def _only_calls(units: Units, sign: int) -> Units:
    return (units[Measure.CALLS] * sign, 0, 0, 0)


def _all_but_calls(units: Units, sign: int) -> Units:
    answered, conversions, revenue = units[1:]
    return (0, answered * sign, conversions * sign, revenue * sign)
