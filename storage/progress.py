"""Calls as the switch's reports and the sweeper move them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeAlias

import asyncpg

from auction.domain.conversions import Entry, EntryKind, Side
from auction.domain.ids import BuyerId, CallId, CampaignId, OfferId, SourceId
from auction.domain.lifecycle import CallState, Progress
from auction.domain.switch_events import CallEvent, EndedBy, EventResult
from storage.bookings import ENTRY_COLUMNS, entry_row
from storage.books import columns
from storage.database import Connection
from storage.holds import Hold
from storage.queries import query

_WRITE = query("write_progress")
_NAME_CURRENT = query("name_current")


EarnedListener: TypeAlias = Callable[[CampaignId | None, str, Side, Decimal], None]
"""Told of each conversion: the call's campaign, the currency, whose money it is, the amount."""


def ignore_earned(_: CampaignId | None, __: str, ___: Side, ____: Decimal) -> None:
    """A listener that does nothing."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a call went, as its record names it."""

    routed_by: str
    offer: OfferId
    buyer: BuyerId
    price: Decimal

    @classmethod
    def of(cls, hold: Hold) -> "Route":
        """The route of an attempt."""
        return cls(hold.routed_by.value, hold.offer, hold.buyer, hold.price)


@dataclass(frozen=True, slots=True)
class CallRow:
    """A locked call. ``route`` is who pays: the converting attempt, else the current one.

    ``caller_hash`` is None for withheld callers. ``dedupes``: a rule that one of its attempts was
    sold under looks at the caller's other calls.
    """

    call_id: CallId
    epoch: int
    test: bool
    campaign: CampaignId | None
    currency: str | None
    decide_by: datetime
    progress: Progress
    source: SourceId | None = None
    caller_hash: bytes | None = None
    dedupes: bool = False
    route: Route | None = None


@dataclass(frozen=True, slots=True)
class Logged:
    """A report to remember, with what became of it."""

    event: CallEvent
    result: EventResult


def load_call(row: asyncpg.Record) -> CallRow:
    """A call from a row of ``lock_reported`` or ``lock_due``."""
    return CallRow(
        row["call_id"],
        row["epoch"],
        row["test"],
        row["campaign"],
        row["currency"],
        row["decide_by"],
        _load_progress(row),
        row["source"],
        row["caller_hash"],
        row["dedupes"],
        None
        if row["routed_by"] is None
        else Route(row["routed_by"], row["offer"], row["buyer"], row["price"]),
    )


def _load_progress(row: asyncpg.Record) -> Progress:
    ended_by = row["ended_by"]
    return Progress(
        state=CallState(row["state"]),
        started_at=row["received_at"],
        attempt=row["attempt"],
        answered_at=row["answered_at"],
        ended_at=row["ended_at"],
        total_duration_s=row["total_duration_s"],
        connected_duration_s=row["connected_duration_s"],
        ended_by=None if ended_by is None else EndedBy(ended_by),
    )


def paid_by(call: CallRow, hold: Hold, entries: Iterable[Entry]) -> CallRow:
    """The call with the route of the attempt whose buyer pays, where these entries say so."""
    if any(_sells(entry) and entry.attempt == hold.attempt for entry in entries):
        return replace(call, route=Route.of(hold))
    return call


def _sells(entry: Entry) -> bool:
    return entry.side is Side.BUYER and entry.kind is not EntryKind.WITHDRAWN


def tell_earned(
    entries: Iterable[Entry], calls: Mapping[CallId, CallRow], listener: EarnedListener
) -> None:
    """Report what conversions of either side were booked at first, once that is durable."""
    for entry in entries:
        call = calls[entry.call_id]
        if entry.kind is EntryKind.BOOKED and call.currency is not None:
            listener(call.campaign, call.currency, entry.side, entry.amount)


async def write_progress(
    connection: Connection,
    calls: Iterable[CallRow],
    entries: Sequence[Entry],
    logged: Sequence[Logged] = (),
) -> None:
    """Store how far calls have come, the reports behind it, and what was booked.

    Calls of which a buyer's conversion is withdrawn name their current attempts again.
    """
    call_rows = [_call_row(call) for call in sorted(calls, key=lambda call: call.call_id)]
    if not (call_rows or logged or entries):
        return
    reports = [_logged_row(each) for each in logged]
    booked = [entry_row(each) for each in entries]
    await connection.execute(
        _WRITE, *columns(call_rows, 12), *columns(reports, 11), *columns(booked, ENTRY_COLUMNS)
    )
    unsold = [
        (entry.call_id, entry.attempt)
        for entry in entries
        if entry.side is Side.BUYER and entry.kind is EntryKind.WITHDRAWN
    ]
    if unsold:
        await connection.execute(_NAME_CURRENT, *columns(unsold, 2))


def _call_row(call: CallRow) -> Sequence[Any]:
    progress, route = call.progress, call.route
    return (
        call.call_id,
        progress.state.value,
        call.epoch,
        progress.answered_at,
        progress.ended_at,
        progress.total_duration_s,
        progress.connected_duration_s,
        progress.ended_by and progress.ended_by.value,
        None if route is None else route.routed_by,
        None if route is None else route.offer,
        None if route is None else route.buyer,
        None if route is None else route.price,
    )


def _logged_row(logged: Logged) -> Sequence[Any]:
    event = logged.event
    return (
        event.call_id,
        event.event_id,
        event.fingerprint,
        event.type.value,
        event.attempt,
        event.at,
        event.total_duration_s,
        event.connected_duration_s,
        event.ended_by and event.ended_by.value,
        event.sip_code,
        logged.result.value,
    )
