"""Calls that are given up: their leases end, or their switch has them no more.

To close calls before their leases end, whoever finds out locks them with ``lock_reported`` and, in
the same transaction, does::

    closed = await close_as_lost(connection, rows, actor="switch:<name>", outbox=outbox)

After the commit ``closed.tell(on_usage, on_earned)`` informs the listeners. A call counts as lost
when it is routed or answered: those that wait for their switch, are over or are still being decided
stay as they are. ``closed.call_ids`` are the calls that were closed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from auction.domain.conversions import Entry
from auction.domain.ids import CallId, OwnerId
from auction.domain.lifecycle import CallState, Happening, transition
from auction.domain.usage import Usage
from storage.accounts import Accounts, open_accounts
from storage.books import Books
from storage.call_facts import conversion_facts
from storage.database import Connection
from storage.holds import Hold, HoldState
from storage.outbox import SILENT, Fact, Outbox
from storage.progress import (
    CallRow,
    EarnedListener,
    load_call,
    paid_by,
    tell_earned,
    write_progress,
)
from storage.settling import attempt_progress, lapse

DECIDER_GRACE: Final = timedelta(seconds=5)
"""How long past its decide-by time a decider may still store what it holds."""

MOST_EPOCH: Final = 2**31 - 1

_DECIDING: Final = frozenset({CallState.DECIDING, CallState.REROUTING})
_AT_THE_SWITCH: Final = frozenset({CallState.ROUTED, CallState.ANSWERED})


@dataclass(slots=True)
class Lapsed:
    """What a transaction over locked calls has stored.

    ``looked_at`` and ``released`` count holds; ``call_ids`` are the calls that are lost by it.
    """

    looked_at: int = 0
    released: int = 0
    call_ids: set[CallId] = field(default_factory=set)
    usage: Mapping[OwnerId, Usage] = field(default_factory=dict)
    entries: Sequence[Entry] = ()
    calls: Mapping[CallId, CallRow] = field(default_factory=dict)

    def tell(
        self,
        on_usage: Callable[[Mapping[OwnerId, Usage]], None],
        on_earned: EarnedListener,
    ) -> None:
        """Inform listeners, once it is durable."""
        if self.usage:
            on_usage(self.usage)
        tell_earned(self.entries, self.calls, on_earned)


@dataclass(slots=True)
class _Round:
    """One transaction over calls that are locked. ``actor`` is who gives them up."""

    now: datetime
    actor: str
    books: Books
    accounts: Accounts
    calls: dict[CallId, CallRow]
    done: Lapsed = field(default_factory=Lapsed)
    moved: set[CallId] = field(default_factory=set)
    facts: list[Fact] = field(default_factory=list)

    def sweep(self, call: CallRow) -> None:
        """Look at a call's holds that are due."""
        for hold in self.books.holds_of(call.call_id):
            if hold.sweep_at is None or hold.sweep_at > self.now:
                continue
            self.done.looked_at += 1
            lease_until = _lease_until(hold, call)
            if lease_until > self.now:
                self.books.put(replace(hold, lease_until=lease_until, sweep_at=lease_until))
            else:
                self._release(self.calls[call.call_id], hold)

    def close(self, call: CallRow) -> None:
        """Give up a call that its switch has no more, whatever its lease."""
        if call.progress.state not in _AT_THE_SWITCH:
            return
        hold = self.books.hold(call.call_id, call.progress.attempt)
        if hold is None:
            self._lose(call)
        else:
            self._release(call, hold)

    def _release(self, call: CallRow, hold: Hold) -> None:
        progress = attempt_progress(hold, call.progress)
        account = self.accounts.of(call)
        settled = lapse(hold, progress, account, actor=self.actor, now=self.now)
        self.books.put(settled.hold)
        self.done.released += 1
        self.accounts.take(call, settled.hold, settled.entries)
        self.facts += conversion_facts(settled.entries, call, hold)
        if hold.state is HoldState.HELD:
            self._supersede(call)
        elif hold.attempt == call.progress.attempt:
            self._lose(paid_by(call, hold, settled.entries))

    def _supersede(self, call: CallRow) -> None:
        """Its decider must not finish with what it holds no more."""
        if call.progress.state in _DECIDING:
            self._move(replace(call, epoch=call.epoch % MOST_EPOCH + 1))

    def _lose(self, call: CallRow) -> None:
        step = transition(call.progress.state, Happening.LEASE_EXPIRED)
        if step is not None:
            self.done.call_ids.add(call.call_id)
            self._move(replace(call, progress=replace(call.progress, state=step.state)))

    def _move(self, call: CallRow) -> None:
        self.calls[call.call_id] = call
        self.moved.add(call.call_id)

    async def write(self, connection: Connection, outbox: Outbox) -> Lapsed:
        await self.books.write(connection)
        moved = [self.calls[call_id] for call_id in self.moved]
        await write_progress(connection, moved, self.accounts.entries)
        await outbox.write(connection, self.facts)
        return replace(
            self.done, usage=self.books.usage, entries=self.accounts.entries, calls=self.calls
        )


async def close_as_lost(
    connection: Connection,
    rows: Sequence[asyncpg.Record],
    *,
    actor: str,
    outbox: Outbox = SILENT,
) -> Lapsed:
    """Close calls of locked rows as lost, as if their leases had ended now.

    Writes to the outbox: nothing may be written in the transaction after it.
    """
    if not rows:
        return Lapsed()
    round_ = await _locked(connection, rows, actor)
    for call in list(round_.calls.values()):
        round_.close(call)
    return await round_.write(connection, outbox)


async def sweep_locked(
    connection: Connection, rows: Sequence[asyncpg.Record], outbox: Outbox = SILENT
) -> Lapsed:
    """Release what is over of calls of locked rows."""
    if not rows:
        return Lapsed()
    round_ = await _locked(connection, rows, "lease")
    for call in list(round_.calls.values()):
        round_.sweep(call)
    return await round_.write(connection, outbox)


async def _locked(connection: Connection, rows: Sequence[asyncpg.Record], actor: str) -> _Round:
    calls = {row["call_id"]: load_call(row) for row in rows}
    books, accounts = await open_accounts(connection, calls.values())
    return _Round(rows[0]["now"], actor, books, accounts, calls)


def _lease_until(hold: Hold, call: CallRow) -> datetime:
    """A decider keeps its hold a little longer than nobody else may decide the call."""
    if hold.state is HoldState.HELD and call.progress.state in _DECIDING:
        return max(hold.lease_until, call.decide_by + DECIDER_GRACE)
    return hold.lease_until
