"""What the switch reports of its calls: answered, ended; many reports in one transaction."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from auction.domain.ids import CallId, OwnerId
from auction.domain.lifecycle import (
    Applied,
    CallState,
    NotApplied,
    OfEarlier,
    Progress,
    apply_event,
)
from auction.domain.switch_events import CallEvent, EventResult, EventType
from auction.domain.terms import WebhookEvent
from auction.domain.usage import Usage
from storage.accounts import Accounts, caller_keys, open_accounts
from storage.batch import GROUP_COMMIT, Batcher, BatchLimits
from storage.books import Books
from storage.call_facts import call_fact, conversion_facts
from storage.database import Connection, Database
from storage.holds import Hold, HoldState
from storage.locked import find_locked, impatient, sparing_locked
from storage.outbox import SILENT, Fact, Outbox
from storage.progress import (
    CallRow,
    EarnedListener,
    Logged,
    ignore_earned,
    load_call,
    paid_by,
    tell_earned,
    write_progress,
)
from storage.queries import query
from storage.settling import Cause, attempt_progress, settle

_LOCK = query("lock_reported")
_KNOWN = query("known_events")

Fingerprints = dict[tuple[CallId, str], bytes]
"""The content of the reports that are known, by call and event id."""

_KEPT = frozenset({EventResult.APPLIED, EventResult.IGNORED})
"""Reports with these results are remembered, so that a repeat is known for one."""


@dataclass(slots=True)
class _Sitting:
    """One transaction over some reports: what was locked, and what became of each."""

    now: datetime
    calls: dict[CallId, CallRow]
    known: Fingerprints
    books: Books
    accounts: Accounts
    moved: set[CallId] = field(default_factory=set)
    logged: list[Logged] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)

    def hear(self, event: CallEvent) -> EventResult:
        """Settle one report, each seeing what the ones before it did."""
        known = self.known.get((event.call_id, event.event_id))
        if known is not None:
            same = known == event.fingerprint
            return EventResult.REPEATED if same else EventResult.OTHER_CONTENT
        result = self._apply(event)
        if result in _KEPT and not self._is_of_no_attempt(event):
            self.known[event.call_id, event.event_id] = event.fingerprint
            self.logged.append(Logged(event, result))
        return result

    def _is_of_no_attempt(self, event: CallEvent) -> bool:
        """Whether it names an attempt that was never given: it may be sent again, corrected."""
        given = self.calls[event.call_id].progress.attempt
        return event.attempt is not None and event.attempt > given

    def _apply(self, event: CallEvent) -> EventResult:
        call = self.calls.get(event.call_id)
        if call is None:
            return EventResult.UNKNOWN_CALL
        applied = apply_event(call.progress, event)
        if isinstance(applied, OfEarlier):
            return self._apply_to_earlier(call, event, applied.attempt)
        if isinstance(applied, NotApplied):
            return applied.result
        self._move(replace(call, progress=applied.progress))
        hold = None
        if applied.progress.state is not CallState.NO_ROUTE:
            hold = self.books.hold(call.call_id, call.progress.attempt)
        self._tell(event, applied, hold)
        if hold is not None:
            self._settle(hold, applied.progress, event)
        return EventResult.APPLIED

    def _apply_to_earlier(self, call: CallRow, event: CallEvent, attempt: int) -> EventResult:
        """A report of an attempt that failed: noted there, and booked if nothing was before."""
        hold = self.books.hold(call.call_id, attempt)
        if hold is None or hold.state is not HoldState.FAILED:
            return EventResult.IGNORED
        applied = apply_event(attempt_progress(hold, call.progress), event)
        if not isinstance(applied, Applied):
            return EventResult.IGNORED
        if applied.newly_answered:
            self._tell_answered(event, applied, hold)
        self._settle(hold, applied.progress, event)
        return EventResult.APPLIED

    def _settle(self, hold: Hold, progress: Progress, event: CallEvent) -> None:
        call = self.calls[hold.call_id]
        cause = Cause(event.at, "switch", event.event_id)
        settled = settle(hold, progress, self.accounts.of(call), cause, now=self.now)
        self.books.put(settled.hold)
        self.accounts.take(call, settled.hold, settled.entries)
        self.facts += conversion_facts(settled.entries, call, hold)
        paid = paid_by(call, hold, settled.entries)
        if paid != call:
            self._move(paid)

    def _move(self, call: CallRow) -> None:
        self.calls[call.call_id] = call
        self.moved.add(call.call_id)

    def _tell(self, event: CallEvent, applied: Applied, hold: Hold | None) -> None:
        call = self.calls[event.call_id]
        if applied.newly_answered:
            self._tell_answered(event, applied, hold)
        if event.type is EventType.ENDED:
            self.facts.append(call_fact(WebhookEvent.CALL_ENDED, call, hold, event.at))

    def _tell_answered(self, event: CallEvent, applied: Applied, hold: Hold | None) -> None:
        at = applied.progress.answered_at or event.at
        call = self.calls[event.call_id]
        self.facts.append(call_fact(WebhookEvent.CALL_ANSWERED, call, hold, at))


class CallEvents:
    """Takes reports of calls.

    After each commit ``on_usage`` is told the usage seen and ``on_earned`` what either
    side earns by it; subscribers are told by the ``outbox``.
    """

    def __init__(
        self,
        database: Database,
        on_usage: Callable[[Mapping[OwnerId, Usage]], None],
        *,
        on_earned: EarnedListener = ignore_earned,
        outbox: Outbox = SILENT,
        limits: BatchLimits = GROUP_COMMIT,
        observe: Callable[[int, float], None] | None = None,
    ) -> None:
        self._database = database
        self._on_usage = on_usage
        self._on_earned = on_earned
        self._outbox = outbox
        self._batcher: Batcher[CallEvent, EventResult] = Batcher(self._run, limits, observe=observe)

    async def record(self, event: CallEvent) -> EventResult:
        """What became of a report, once that is durable. Raises StorageUnavailableError."""
        return await self._batcher.submit(event)

    @property
    def waiting(self) -> int:
        """How many reports no batch has taken yet."""
        return self._batcher.waiting

    async def close(self) -> None:
        """Wait until everything reported is stored."""
        await self._batcher.close()

    async def _run(self, events: Sequence[CallEvent]) -> Sequence[EventResult | Exception]:
        callers: dict[CallId, int] = {}

        async def run(places: Collection[int]) -> dict[int, EventResult]:
            results = await self._sit([events[place] for place in places], callers)
            return dict(zip(places, results, strict=True))

        async def stuck(places: Collection[int]) -> Collection[int]:
            calls = {events[place].call_id for place in places}
            keys = [callers[call_id] for call_id in calls if call_id in callers]
            locked = await find_locked(self._database, calls, callers=keys)
            return [
                place
                for place in places
                if events[place].call_id in locked.calls
                or callers.get(events[place].call_id) in locked.callers
            ]

        results = await sparing_locked(range(len(events)), run, stuck)
        return [results[place] for place in range(len(events))]

    async def _sit(
        self, events: Sequence[CallEvent], callers: dict[CallId, int]
    ) -> Sequence[EventResult]:
        """One transaction. ``callers`` gets the keys of those that it has to lock, by call."""
        async with impatient(self._database.transaction()) as connection:
            sitting = await _lock(connection, events, callers)
            results = [sitting.hear(event) for event in events]
            await sitting.books.write(connection)
            moved = [sitting.calls[call_id] for call_id in sitting.moved]
            entries = sitting.accounts.entries
            await write_progress(connection, moved, entries, sitting.logged)
            await self._outbox.write(connection, sitting.facts)
        self._on_usage(sitting.books.usage)
        tell_earned(entries, sitting.calls, self._on_earned)
        return results


async def _lock(
    connection: Connection, events: Sequence[CallEvent], callers: dict[CallId, int]
) -> _Sitting:
    """All that the reports are about: calls, then callers, then usage."""
    call_ids = sorted({event.call_id for event in events})
    rows = await connection.fetch(_LOCK, call_ids)
    calls = {row["call_id"]: load_call(row) for row in rows}
    callers.update(caller_keys(calls.values()))
    known = await _known_events(connection, events)
    books, accounts = await open_accounts(connection, calls.values())
    now = rows[0]["now"] if rows else datetime.now(UTC)
    return _Sitting(now, calls, known, books, accounts)


async def _known_events(connection: Connection, events: Sequence[CallEvent]) -> Fingerprints:
    keys = sorted({(event.call_id, event.event_id) for event in events})
    call_ids, event_ids = zip(*keys, strict=True)
    rows = await connection.fetch(_KNOWN, call_ids, event_ids)
    return {(row["call_id"], row["event_id"]): row["fingerprint"] for row in rows}
