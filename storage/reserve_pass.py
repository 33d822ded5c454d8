"""Who fits: requests decided one by one on locked books. No I/O here."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg

from auction.domain.duplicates import is_duplicate
from auction.domain.ids import CallId, OwnerId
from auction.domain.lifecycle import CallState
from auction.domain.opening import PastCall
from auction.domain.plan import Candidate
from auction.domain.reasons import Reason
from auction.domain.reserving import (
    NothingFits,
    Reserved,
    ReserveRequest,
    ReserveResult,
    Superseded,
)
from auction.domain.usage import Usage, held_by, refusal
from auction.domain.value import value
from auction.domain.windows import window_starts
from auction.ports import StorageUnavailableError
from storage.books import Books, PlanRow
from storage.holds import Hold, HoldState, dedupes_of, sold
from storage.plans import dump_candidates

PastCalls = dict[bytes, dict[tuple[CallId, int], PastCall]]
"""Earlier routes of callers by their hash, each by call and attempt."""

NextAnswers = dict[tuple[CallId, int], bytes | None]
"""The answers after a failed attempt, by the attempt that they give."""

_UNDECIDED: Final = frozenset({CallState.DECIDING.value, CallState.REROUTING.value})


@value(frozen=True, slots=True)
class Item:
    """One request of a batch. ``caller`` is None when no rule may look at the caller."""

    place: int
    request: ReserveRequest
    caller: bytes | None


@dataclass(slots=True)
class ReservePass:
    """One transaction over some requests: what was locked, and what became of each.

    Unless it is ``whole``, only the first candidate of each request is looked at.
    """

    whole: bool
    now: datetime
    calls: Mapping[CallId, asyncpg.Record | Mapping[str, Any]]
    past: PastCalls
    books: Books
    next_answers: NextAnswers = field(default_factory=dict)
    plans: dict[CallId, PlanRow] = field(default_factory=dict)
    results: dict[int, ReserveResult | Exception] = field(default_factory=dict)

    def decide(self, item: Item) -> None:
        """Settle one request, or leave it for a look at its whole plan."""
        request = item.request
        call = self.calls.get(request.call.call_id)
        if call is None:
            error = StorageUnavailableError("the call was not kept when the database died")
            self.results[item.place] = error
        elif call["epoch"] != request.epoch or call["state"] not in _UNDECIDED:
            self.results[item.place] = Superseded(self._answer_to(request, call))
        else:
            result = self._repeated(request) or self._take(item, call["received_at"])
            if result is not None:
                self.results[item.place] = result

    def _answer_to(
        self, request: ReserveRequest, call: asyncpg.Record | Mapping[str, Any]
    ) -> bytes | None:
        """The stored answer of this attempt: only the first is the call's own."""
        if request.attempt == 1:
            answer: bytes | None = call["answer"]
            return answer
        return self.next_answers.get((request.call.call_id, request.attempt))

    def _repeated(self, request: ReserveRequest) -> Reserved | None:
        """The result of a request whose hold was stored before, though nobody heard of it."""
        hold = self.books.hold(request.call.call_id, request.attempt)
        if hold is None or hold.state is not HoldState.HELD:
            return None
        for position, candidate in considered(request, whole=True):
            if hold.is_of(candidate):
                return Reserved(position, hold.terms.refused)
        return None

    def _take(self, item: Item, arrival: datetime) -> Reserved | NothingFits | None:
        request = item.request
        usage = self.books.without(self.books.hold(request.call.call_id, request.attempt))
        refused: list[tuple[int, Reason]] = []
        for position, candidate in considered(request, whole=self.whole):
            reason = self._refusal(item, candidate, arrival, usage)
            if reason is None:
                self._hold(item, arrival, Reserved(position, tuple(refused)))
                return Reserved(position, tuple(refused))
            refused.append((position, reason))
        if request.start + len(refused) < len(request.candidates):
            return None
        self._give_back(item, arrival)
        return NothingFits(tuple(refused))

    def _refusal(
        self, item: Item, candidate: Candidate, arrival: datetime, usage: Mapping[OwnerId, Usage]
    ) -> Reason | None:
        if self._is_duplicate(item, candidate):
            return Reason.DUPLICATE_CALLER
        for limits in candidate.owners:
            starts = window_starts(arrival, limits.zone)
            reason = refusal(usage[limits.owner], limits, starts, candidate.units)
            if reason is not None:
                return reason
        return None

    def _is_duplicate(self, item: Item, candidate: Candidate) -> bool:
        rule, request = candidate.duplicates, item.request
        if rule is None or item.caller is None:
            return False
        past = [
            past
            for (call_id, _), past in self.past.get(item.caller, {}).items()
            if call_id != request.call.call_id
        ]
        return is_duplicate(
            rule,
            candidate.offer,
            candidate.buyer,
            request.campaign,
            past,
            request.call.received_at,
        )

    def _hold(self, item: Item, arrival: datetime, reserved: Reserved) -> None:
        request, candidate = item.request, item.request.candidates[reserved.position]
        lease_until = self.now + timedelta(milliseconds=request.lease_ms)
        hold = Hold(
            call_id=request.call.call_id,
            attempt=request.attempt,
            state=HoldState.HELD,
            position=reserved.position,
            campaign=request.campaign,
            offer=candidate.offer,
            buyer=candidate.buyer,
            routed_by=candidate.routed_by,
            price=candidate.price,
            post_id=candidate.post_id,
            caller_hash=item.caller,
            terms=sold(candidate, arrival, reserved.refused),
            holding=held_by(candidate.units),
            lease_until=lease_until,
            sweep_at=lease_until,
            source=request.call.source,
            bid_id=candidate.bid_id,
            dedupes=dedupes_of(candidate),
        )
        self.books.put(hold)
        self._store_plan(request, arrival, reserved.position)
        if item.caller is not None:
            route = PastCall(candidate.offer, candidate.buyer, request.campaign, self.now)
            self.past.setdefault(item.caller, {})[hold.call_id, hold.attempt] = route

    def _give_back(self, item: Item, arrival: datetime) -> None:
        request = item.request
        hold = self.books.hold(request.call.call_id, request.attempt)
        if hold is not None and hold.state is HoldState.HELD:
            self.books.put(hold.given_back())
            if item.caller is not None:
                self.past.get(item.caller, {}).pop((hold.call_id, hold.attempt), None)
        self._store_plan(request, arrival, None)

    def _store_plan(self, request: ReserveRequest, arrival: datetime, position: int | None) -> None:
        call_id = request.call.call_id
        candidates = dump_candidates(request.candidates)
        self.plans[call_id] = PlanRow(
            call_id, arrival, request.attempt, position, candidates, request.trace
        )


def is_first(item: Item) -> bool:
    """Whether nothing can have been reserved for its call but by a decider before us."""
    return item.request.attempt == 1 and item.request.start == 0


def assumed(items: Sequence[Item], usage: Mapping[OwnerId, Usage], now: datetime) -> ReservePass:
    """First requests decided as if nothing had changed since their calls were opened."""
    calls = {
        item.request.call.call_id: {
            "epoch": item.request.epoch,
            "state": CallState.DECIDING.value,
            "received_at": item.request.call.received_at,
        }
        for item in items
    }
    step = ReservePass(whole=False, now=now, calls=calls, past={}, books=Books((), usage))
    for item in items:
        step.decide(item)
    return step


def considered(request: ReserveRequest, *, whole: bool) -> Iterable[tuple[int, Candidate]]:
    end = len(request.candidates) if whole else request.start + 1
    return enumerate(request.candidates[request.start : end], start=request.start)
