"""The ledger in memory: PostgreSQL's rules, for tests and for deciding a call again.

One process, nothing durable; it passes the same contract suite as ``storage.ledger``.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from auction.domain.call import Call
from auction.domain.duplicates import is_duplicate
from auction.domain.finishing import Action, Finish, Finished, FinishResult
from auction.domain.ids import CallId, OwnerId, SuppressionId
from auction.domain.lifecycle import CallState
from auction.domain.next_attempt import (
    NextRequest,
    NextResult,
    NoSuchAttempt,
    Rerouting,
    UnknownCall,
)
from auction.domain.numbers import Lent, joined
from auction.domain.opening import (
    AlreadyDecided,
    BeingDecided,
    KnownAs,
    Opened,
    Opening,
    OpenResult,
    OtherContent,
    PastCall,
)
from auction.domain.plan import Candidate, StoredPlan
from auction.domain.reasons import Reason
from auction.domain.reserving import (
    NothingFits,
    Reserved,
    ReserveRequest,
    ReserveResult,
    Superseded,
)
from auction.domain.usage import Change, Usage, apply, difference, held_by, refusal
from auction.domain.windows import window_starts
from storage.memory_calls import (
    Step,
    StoredCall,
    already_converted,
    collect,
    decided_anew,
    rerouting,
    state_after,
)


@dataclass(slots=True)
class MemoryLedger:
    """NextLedger and UsageView in one; ``now`` is the clock of its leases and claims.

    It keeps no money: calls in ``converted`` have earned their conversion; ``lent`` tells whom the
    numbers of pools are lent to, ``suppressed`` the lists that numbers are on.
    """

    now: Callable[[], datetime]
    usage: dict[OwnerId, Usage] = field(default_factory=dict)
    traces: dict[CallId, bytes] = field(default_factory=dict)
    converted: set[CallId] = field(default_factory=set)
    suppressed: dict[str, tuple[SuppressionId, ...]] = field(default_factory=dict)
    lent: dict[str, Lent] = field(default_factory=dict)
    _calls: dict[CallId, StoredCall] = field(default_factory=dict)
    _routes: dict[str, list[tuple[CallId, PastCall]]] = field(default_factory=dict)

    async def open(self, opening: Opening) -> OpenResult:
        """See ``auction.ports.Ledger``."""
        stored = self._calls.get(opening.call.call_id)
        decide_by = self._from_now(opening.decide_within_ms)
        if stored is None or decided_anew(stored):
            epoch = 1 if stored is None else stored.epoch + 1
            call = self._as_lent(opening)
            stored = StoredCall(replace(opening, call=call), epoch, decide_by)
            self._calls[call.call_id] = stored
            past, on = self._past_calls(call), self._lists_of(call)
            return Opened(epoch, past, known_as=_known_as(call, opening), suppressed=on)
        if stored.opening.fingerprint != opening.fingerprint:
            return OtherContent()
        if stored.answer is not None:
            collect(stored, 1)
            return AlreadyDecided(stored.answer)
        if stored.decide_by > self.now():
            return self._being_decided(stored)
        stored.epoch += 1
        stored.decide_by = decide_by
        past = self._past_calls(opening.call)
        call = stored.opening.call
        known_as, on = _known_as(call, opening), self._lists_of(call)
        return Opened(stored.epoch, past, stored.plan, call.received_at, known_as, on)

    async def reserve(self, request: ReserveRequest) -> ReserveResult:
        """See ``auction.ports.Ledger``."""
        stored = self._calls[request.call.call_id]
        if stored.epoch != request.epoch or not stored.undecided:
            return Superseded(stored.answer_to(request.attempt))
        self._give_back(stored)
        stored.plan_attempt = request.attempt
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
        if stored.epoch != finish.epoch or not stored.undecided:
            return Superseded(stored.answer_to(finish.attempt))
        if finish.action is Action.NO_ROUTE:
            self._give_back(stored)
        stored.state = state_after(finish)
        stored.binding = finish.binding
        if finish.attempt == 1:
            stored.answer = finish.answer
            self.traces[finish.call.call_id] = finish.trace
        else:
            stored.steps[finish.attempt - 1].answer = finish.answer
            stored.later_traces[finish.attempt] = finish.trace
        return Finished()

    async def open_next(self, request: NextRequest) -> NextResult:
        """See ``auction.ports.NextLedger``."""
        stored = self._calls.get(request.call_id)
        if stored is None:
            return UnknownCall()
        step = stored.steps.get(request.attempt)
        if step is None:
            return self._fail(stored, request)
        if step.fingerprint != request.fingerprint:
            return OtherContent()
        return self._repeat(stored, request, step)

    async def refuse_next(self, call_id: CallId, attempt: int, answer: bytes) -> bytes:
        """See ``auction.ports.NextLedger``."""
        step = self._calls[call_id].steps[attempt]
        if step.answer is None:
            step.answer = answer
        return step.answer

    def later_traces(self, call_id: CallId) -> Mapping[int, bytes]:
        """The traces of a call's attempts after the first, by their number."""
        return self._calls[call_id].later_traces

    async def refresh(self, owners: Iterable[OwnerId]) -> None:
        """Nothing to fetch: the readings are the truth."""

    def read(self) -> Mapping[OwnerId, Usage]:
        """The usage of every owner that has any."""
        return self.usage

    def _as_lent(self, opening: Opening) -> Call:
        call, pool = opening.call, opening.pool
        if pool is None:
            return call
        lent = self.lent.get(call.dialed_number or "", Lent(None, {}))
        return joined(call, lent.source or pool.source, lent.tags)

    def _fail(self, stored: StoredCall, request: NextRequest) -> NextResult:
        current = stored.attempt == request.attempt
        if not current or stored.state not in {CallState.ROUTED, CallState.LATE}:
            return NoSuchAttempt()
        if request.call_id in self.converted:
            self._free(stored)
            stored.steps[request.attempt] = Step(request.fingerprint)
            return already_converted(stored)
        if stored.held is not None:
            stored.tried.append((stored.held.offer, request.reason.reason))
        self._give_back(stored)
        return self._claim(stored, request)

    def _repeat(self, stored: StoredCall, request: NextRequest, step: Step) -> NextResult:
        is_latest = stored.attempt == request.attempt + 1
        if step.answer is not None and (stored.binding or not is_latest):
            collect(stored, request.attempt + 1)
            return AlreadyDecided(step.answer)
        if not is_latest:
            return already_converted(stored)
        if stored.state is CallState.REROUTING and stored.decide_by > self.now():
            return self._being_decided(stored)
        return self._claim(stored, request)

    def _claim(self, stored: StoredCall, request: NextRequest) -> Rerouting:
        stored.steps[request.attempt] = Step(request.fingerprint)
        stored.state = CallState.REROUTING
        stored.attempt = request.attempt + 1
        stored.epoch += 1
        stored.decide_by = self._from_now(request.decide_within_ms)
        stored.binding = True
        past = self._past_calls(stored.opening.call)
        again = rerouting(stored, self.traces[request.call_id], past)
        return replace(again, suppressed=self._lists_of(stored.opening.call))

    def _from_now(self, milliseconds: int) -> datetime:
        return self.now() + timedelta(milliseconds=milliseconds)

    def _being_decided(self, stored: StoredCall) -> BeingDecided:
        left_ms = (stored.decide_by - self.now()) / timedelta(milliseconds=1)
        return BeingDecided(int(left_ms) + 1)

    def _refusal(self, request: ReserveRequest, candidate: Candidate) -> Reason | None:
        if candidate.duplicates is not None and not request.call.test:
            past = self._past_calls(request.call)
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

    def _hold(self, stored: StoredCall, request: ReserveRequest, position: int) -> None:
        candidate = request.candidates[position]
        self._change(stored, candidate, held_by(candidate.units))
        stored.held = candidate
        stored.plan = self._stored_plan(request, position)
        number = request.call.caller.number
        if number is not None and not request.call.test:
            past = PastCall(candidate.offer, candidate.buyer, request.campaign, self.now())
            self._routes.setdefault(number, []).append((request.call.call_id, past))

    def _give_back(self, stored: StoredCall) -> None:
        if stored.held is None:
            return
        back = difference(held_by(stored.held.units), Change())
        self._change(stored, stored.held, back)
        number = stored.opening.call.caller.number
        if number in self._routes:
            call_id = stored.opening.call.call_id
            self._routes[number] = [each for each in self._routes[number] if each[0] != call_id]
        stored.held = None
        if stored.plan is not None:
            stored.plan = replace(stored.plan, position=None)

    def _free(self, stored: StoredCall) -> None:
        """A sold attempt whose call is over: the call stays used."""
        if stored.held is not None:
            _, answered, conversions, revenue = stored.held.units
            back = Change(live=-1, pending=(0, -answered, -conversions, -revenue))
            self._change(stored, stored.held, back)
            stored.held = None

    def _change(self, stored: StoredCall, candidate: Candidate, change: Change) -> None:
        for limits in candidate.owners:
            starts = window_starts(stored.opening.call.received_at, limits.zone)
            usage = self.usage.get(limits.owner, Usage())
            self.usage[limits.owner] = apply(usage, starts, change)

    def _past_calls(self, call: Call) -> tuple[PastCall, ...]:
        known = self._routes.get(call.caller.number or "", ())
        return tuple(past for call_id, past in known if call_id != call.call_id)

    def _lists_of(self, call: Call) -> tuple[SuppressionId, ...]:
        return self.suppressed.get(call.caller.number or "", ())

    @staticmethod
    def _stored_plan(request: ReserveRequest, position: int | None) -> StoredPlan:
        return StoredPlan(request.candidates, position, request.trace, request.call.received_at)


def _known_as(call: Call, opening: Opening) -> KnownAs | None:
    given = opening.call
    same = (call.source, call.fields) == (given.source, given.fields)
    return None if same else KnownAs(call.source, call.fields)
