"""The ledger's rows in one transaction: locked, worked on in memory, written back.

Whoever changes a reservation or a counter has locked the call first, then the owners' usage in the
order of their ids, so that no two transactions wait for each other.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

import asyncpg
import orjson

from auction.domain.ids import CallId, OwnerId
from auction.domain.plan import RoutedBy
from auction.domain.usage import Change, Usage, apply, difference
from auction.domain.value import value
from storage.arrays import array_text, text_columns
from storage.bookings import BookedSides, load_booked
from storage.callers import caller_key
from storage.database import Connection
from storage.holds import NOTHING_HELD, Hold, HoldState, HoldTerms
from storage.queries import query
from storage.usage_rows import decode, encode, read_counters

_LOCK = query("lock_books")
_OPEN_USAGE = query("open_usage")
_WRITE = query("write_books")

_LOCKED: Final = (None,) * 8
"""The condition of ``write_books`` when nothing needs to be as known."""


@value(frozen=True, slots=True)
class PlanRow:
    """What is stored for a decider that takes over. ``position`` None: nothing is held."""

    call_id: CallId
    received_at: datetime
    attempt: int
    position: int | None
    candidates: bytes
    trace: bytes


@value(frozen=True, slots=True)
class Known:
    """What a decider takes for granted of rows that it has not locked.

    Calls that are being decided and hold nothing, callers whom no other route has reached, and the
    usage of owners; ``now`` is what the decider took for the database's time.
    """

    calls: Sequence[tuple[CallId, int, datetime]]
    callers: Collection[bytes]
    usage: Mapping[OwnerId, Usage]
    now: datetime

    def parameters(self) -> Sequence[Any]:
        """For ``write_books``."""
        owners = sorted(self.usage)
        return (
            *text_columns(sorted(self.calls), 3, 0),
            sorted(map(caller_key, self.callers)),
            sorted(self.callers),
            owners,
            [array_text(encode(self.usage[owner])) for owner in owners],
            self.now,
        )


class Books:
    """Reservations and usage, as locked and as changed since.

    ``booked`` is what the calls' sides came to when they were locked.
    """

    def __init__(
        self,
        holds: Iterable[Hold],
        usage: Mapping[OwnerId, Usage],
        booked: BookedSides = MappingProxyType({}),
    ) -> None:
        self.booked = booked
        self._holds: dict[CallId, dict[int, Hold]] = {}
        for hold in holds:
            self._holds.setdefault(hold.call_id, {})[hold.attempt] = hold
        self._usage = dict(usage)
        self._changed_holds: dict[tuple[CallId, int], Hold] = {}
        self._changed_owners: set[OwnerId] = set()

    @property
    def usage(self) -> Mapping[OwnerId, Usage]:
        """All usage, with the changes."""
        return self._usage

    def hold(self, call_id: CallId, attempt: int) -> Hold | None:
        """One attempt's reservation."""
        return self._holds.get(call_id, {}).get(attempt)

    def holds_of(self, call_id: CallId) -> list[Hold]:
        """A call's reservations."""
        return list(self._holds.get(call_id, {}).values())

    def without(self, hold: Hold | None) -> Mapping[OwnerId, Usage]:
        """The usage as if a reservation were given back."""
        if hold is None or hold.holding == NOTHING_HELD:
            return self._usage
        back = difference(hold.holding, NOTHING_HELD)
        changed = {
            owner: apply(self._usage[owner], starts, back) for owner, starts in hold.terms.owners
        }
        return {**self._usage, **changed}

    def put(self, after: Hold) -> None:
        """Replace a reservation: counters lose what it held and gain what it holds now."""
        before = self.hold(after.call_id, after.attempt)
        if before is not None and before.terms.owners == after.terms.owners:
            self._count(after, difference(before.holding, after.holding))
        else:
            if before is not None:
                self._count(before, difference(before.holding, NOTHING_HELD))
            self._count(after, after.holding)
        self._holds.setdefault(after.call_id, {})[after.attempt] = after
        self._changed_holds[after.call_id, after.attempt] = after

    def _count(self, hold: Hold, change: Change) -> None:
        if change == NOTHING_HELD:
            return
        for owner, starts in hold.terms.owners:
            self._usage[owner] = apply(self._usage[owner], starts, change)
            self._changed_owners.add(owner)

    async def write(self, connection: Connection, plans: Sequence[PlanRow] = ()) -> None:
        """Store every change, and plans beside them, of calls and owners that are locked."""
        if self._changed_holds or plans:
            await self._write(connection, plans, _LOCKED)

    async def write_if(
        self, connection: Connection, plans: Sequence[PlanRow], known: Known
    ) -> Mapping[OwnerId, Usage] | None:
        """Store every change and plans if all is as known; None when that was so.

        Else the usage when nothing but that is another, or nothing at all.
        """
        other = await self._write(connection, plans, known.parameters())
        if other is None:
            return None
        return dict(zip(sorted(known.usage), map(read_counters, other), strict=False))

    async def _write(
        self, connection: Connection, plans: Sequence[PlanRow], condition: Sequence[Any]
    ) -> Sequence[str] | None:
        owners = sorted(self._changed_owners)
        counters = [array_text(encode(self._usage[owner])) for owner in owners]
        holds = [_hold_row(self._changed_holds[key]) for key in sorted(self._changed_holds)]
        plan_rows = [_plan_row(plan) for plan in sorted(plans, key=lambda plan: plan.call_id)]
        other: Sequence[str] | None = await connection.fetchval(
            _WRITE,
            owners,
            counters,
            *text_columns(holds, *_HOLD_COLUMNS),
            *text_columns(plan_rows, *_PLAN_COLUMNS),
            *condition,
        )
        return other


async def open_usage(connection: Connection, owners: Collection[OwnerId]) -> None:
    """Make sure that each owner has a row to lock."""
    await connection.execute(_OPEN_USAGE, sorted(owners))


async def lock_books(
    connection: Connection, call_ids: Iterable[CallId], owners: Iterable[OwnerId] = ()
) -> Books:
    """The reservations and money of calls that are locked already, and all usage concerned, locked.

    An owner without a row is absent from the usage.
    """
    rows = await connection.fetch(_LOCK, sorted(set(call_ids)), sorted(set(owners)))
    usage = {row["owner"]: decode(row["counters"]) for row in rows if row["owner"] is not None}
    held = [_load_hold(row) for row in rows if row["attempt"] is not None]
    booked = {row["call_id"]: load_booked(row["booked"]) for row in rows if row["booked"]}
    return Books(held, usage, booked)


def columns(rows: Sequence[Sequence[Any]], count: int) -> list[Sequence[Any]]:
    """Rows turned into one array per column, for ``unnest``."""
    return list(zip(*rows, strict=True)) if rows else [()] * count


def load_holding(stored: str) -> Change:
    """A reservation's share of the counters."""
    live, used, pending = orjson.loads(stored)
    return Change(live, tuple(used), tuple(pending))


def _dump_holding(holding: Change) -> str:
    return orjson.dumps((holding.live, holding.used, holding.pending)).decode()


def _load_hold(row: asyncpg.Record) -> Hold:
    return Hold(
        call_id=row["call_id"],
        attempt=row["attempt"],
        state=HoldState(row["state"]),
        position=row["position"],
        campaign=row["campaign"],
        offer=row["offer"],
        buyer=row["buyer"],
        routed_by=RoutedBy(row["routed_by"]),
        price=row["price"],
        post_id=row["post_id"],
        caller_hash=row["caller_hash"],
        terms=HoldTerms.load(row["terms"]),
        holding=load_holding(row["holding"]),
        lease_until=row["lease_until"],
        sweep_at=row["sweep_at"],
        answered_lease_ms=row["answered_lease_ms"],
        answered_at=row["answered_at"],
        converted_at=row["converted_at"],
        ended_at=row["ended_at"],
        source=row["source"],
        bid_id=row["bid_id"],
        dedupes=row["dedupes"],
        reason=row["reason"],
        sip_code=row["sip_code"],
        connected_duration_s=row["connected_duration_s"],
        paid_at=row["paid_at"],
    )


_HOLD_COLUMNS = (25, 1)


def _hold_row(hold: Hold) -> Sequence[Any]:
    return (
        hold.call_id,
        hold.attempt,
        hold.state.value,
        hold.position,
        hold.campaign,
        hold.offer,
        hold.buyer,
        hold.routed_by.value,
        hold.price,
        hold.post_id,
        hold.terms.dump(),
        _dump_holding(hold.holding),
        hold.lease_until,
        hold.sweep_at,
        hold.answered_lease_ms,
        hold.answered_at,
        hold.converted_at,
        hold.ended_at,
        hold.source,
        hold.bid_id,
        hold.dedupes,
        hold.reason,
        hold.sip_code,
        hold.connected_duration_s,
        hold.paid_at,
        hold.caller_hash,
    )


_PLAN_COLUMNS = (4, 2)


def _plan_row(plan: PlanRow) -> Sequence[Any]:
    return (
        plan.call_id,
        plan.received_at,
        plan.attempt,
        plan.position,
        plan.candidates,
        plan.trace,
    )
