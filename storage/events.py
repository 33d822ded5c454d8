"""What the switch reports of its calls: answered, ended; many reports in one transaction."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from auction.domain.decision import CallEvent, EventResult
from auction.domain.ids import CallId, OwnerId
from auction.domain.lifecycle import NotApplied, apply_event
from auction.domain.usage import Usage
from storage.batch import Batcher
from storage.books import Books, lock_books
from storage.database import Connection, Database
from storage.locked import find_locked, impatient, sparing_locked
from storage.progress import (
    CallRow,
    Earned,
    EarnedListener,
    Logged,
    ignore_earned,
    is_billed,
    load_call,
    tell_earned,
    write_progress,
)
from storage.queries import query
from storage.settling import settle

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
    moved: set[CallId] = field(default_factory=set)
    earned: list[Earned] = field(default_factory=list)
    logged: list[Logged] = field(default_factory=list)

    def hear(self, event: CallEvent) -> EventResult:
        """Settle one report, each seeing what the ones before it did."""
        known = self.known.get((event.call_id, event.event_id))
        if known is not None:
            same = known == event.fingerprint
            return EventResult.REPEATED if same else EventResult.OTHER_CONTENT
        result = self._apply(event)
        if result in _KEPT:
            self.known[event.call_id, event.event_id] = event.fingerprint
            self.logged.append(Logged(event, result))
        return result

    def _apply(self, event: CallEvent) -> EventResult:
        call = self.calls.get(event.call_id)
        if call is None:
            return EventResult.UNKNOWN_CALL
        applied = apply_event(call.progress, event)
        if isinstance(applied, NotApplied):
            return applied.result
        call = self.calls[event.call_id] = replace(call, progress=applied.progress)
        self.moved.add(event.call_id)
        self._settle(call, event)
        return EventResult.APPLIED

    def _settle(self, call: CallRow, event: CallEvent) -> None:
        hold = self.books.hold(call.call_id, call.progress.attempt)
        if hold is None:
            return
        billed = is_billed(call, self.books)
        settled = settle(hold, call.progress, billed=billed, at=event.at, now=self.now)
        self.books.put(settled.hold)
        if settled.conversion is not None:
            self.earned.append(
                Earned(call, hold.attempt, settled.conversion, event.at, event.event_id)
            )


class CallEvents:
    """Takes reports of calls.

    After each commit ``on_usage`` is told the usage seen and ``on_earned`` what was earned.
    """

    def __init__(
        self,
        database: Database,
        on_usage: Callable[[Mapping[OwnerId, Usage]], None],
        *,
        on_earned: EarnedListener = ignore_earned,
        lanes: int = 2,
        max_batch: int = 200,
        max_queue: int = 10_000,
        observe: Callable[[int], None] | None = None,
    ) -> None:
        self._database = database
        self._on_usage = on_usage
        self._on_earned = on_earned
        self._batcher: Batcher[CallEvent, EventResult] = Batcher(
            self._run, lanes=lanes, max_size=max_batch, max_queue=max_queue, observe=observe
        )

    async def record(self, event: CallEvent) -> EventResult:
        """What became of a report, once that is durable. Raises StorageUnavailableError."""
        return await self._batcher.submit(event)

    async def close(self) -> None:
        """Wait until everything reported is stored."""
        await self._batcher.close()

    async def _run(self, events: Sequence[CallEvent]) -> Sequence[EventResult | Exception]:
        async def run(places: Collection[int]) -> dict[int, EventResult]:
            results = await self._sit([events[place] for place in places])
            return dict(zip(places, results, strict=True))

        async def stuck(places: Collection[int]) -> Collection[int]:
            calls = (events[place].call_id for place in places)
            locked = (await find_locked(self._database, calls)).calls
            return [place for place in places if events[place].call_id in locked]

        results = await sparing_locked(range(len(events)), run, stuck)
        return [results[place] for place in range(len(events))]

    async def _sit(self, events: Sequence[CallEvent]) -> Sequence[EventResult]:
        async with impatient(self._database.transaction()) as connection:
            call_ids = sorted({event.call_id for event in events})
            rows = await connection.fetch(_LOCK, call_ids)
            known = await _known_events(connection, events)
            books = await lock_books(connection, call_ids)
            now = rows[0]["now"] if rows else datetime.now(UTC)
            calls = {row["call_id"]: load_call(row) for row in rows}
            sitting = _Sitting(now, calls, known, books)
            results = [sitting.hear(event) for event in events]
            await books.write(connection)
            moved = [sitting.calls[call_id] for call_id in sitting.moved]
            earned = await write_progress(connection, moved, sitting.earned, sitting.logged)
        self._on_usage(books.usage)
        tell_earned(earned, self._on_earned)
        return results


async def _known_events(connection: Connection, events: Sequence[CallEvent]) -> Fingerprints:
    keys = sorted({(event.call_id, event.event_id) for event in events})
    call_ids, event_ids = zip(*keys, strict=True)
    rows = await connection.fetch(_KNOWN, call_ids, event_ids)
    return {(row["call_id"], row["event_id"]): row["fingerprint"] for row in rows}
