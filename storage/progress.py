"""Calls as the switch's reports and the sweeper move them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeAlias

import asyncpg

from auction.domain.conversions import Conversion
from auction.domain.decision import CallEvent, EndedBy, EventResult
from auction.domain.ids import CallId, CampaignId
from auction.domain.lifecycle import CallState, Progress
from storage.books import Books, columns
from storage.database import Connection
from storage.queries import query

_WRITE = query("write_progress")


EarnedListener: TypeAlias = Callable[[CampaignId | None, str, Decimal], None]
"""Told of each conversion booked: the call's campaign, the currency, the amount."""


def ignore_earned(_: CampaignId | None, __: str, ___: Decimal) -> None:
    """A listener that does nothing."""


@dataclass(frozen=True, slots=True)
class CallRow:
    """A locked call."""

    call_id: CallId
    epoch: int
    test: bool
    campaign: CampaignId | None
    currency: str | None
    decide_by: datetime
    progress: Progress


@dataclass(frozen=True, slots=True)
class Earned:
    """A buyer's conversion to book. ``event_id`` None: no report brought it."""

    call: CallRow
    attempt: int
    conversion: Conversion
    at: datetime
    event_id: str | None


@dataclass(frozen=True, slots=True)
class Logged:
    """A report to remember, with what became of it."""

    event: CallEvent
    result: EventResult


def load_call(row: asyncpg.Record) -> CallRow:
    """A call from a row of ``lock_reported`` or ``lock_due``."""
    ended_by = row["ended_by"]
    progress = Progress(
        state=CallState(row["state"]),
        started_at=row["received_at"],
        attempt=row["attempt"],
        answered_at=row["answered_at"],
        ended_at=row["ended_at"],
        total_duration_s=row["total_duration_s"],
        connected_duration_s=row["connected_duration_s"],
        ended_by=None if ended_by is None else EndedBy(ended_by),
    )
    return CallRow(
        row["call_id"],
        row["epoch"],
        row["test"],
        row["campaign"],
        row["currency"],
        row["decide_by"],
        progress,
    )


def tell_earned(earned: Iterable[Earned], listener: EarnedListener) -> None:
    """Report what was booked, once it is durable."""
    for each in earned:
        if each.call.currency is not None:
            listener(each.call.campaign, each.call.currency, each.conversion.amount)


def is_billed(call: CallRow, books: Books) -> bool:
    """Whether the call may earn a conversion: no test, and none earned yet."""
    earned = any(hold.converted_at is not None for hold in books.holds_of(call.call_id))
    return not (call.test or earned)


async def write_progress(
    connection: Connection,
    calls: Iterable[CallRow],
    earned: Sequence[Earned],
    logged: Sequence[Logged] = (),
) -> list[Earned]:
    """Store how far calls have come, what they earned and the reports behind it.

    Returns what was booked: of each call the first conversion ever.
    """
    call_rows = [_call_row(call) for call in sorted(calls, key=lambda call: call.call_id)]
    if not (call_rows or earned or logged):
        return []
    rows = await connection.fetch(
        _WRITE,
        *columns(call_rows, 8),
        *columns([_earned_row(each) for each in earned], 6),
        *columns([_logged_row(each) for each in logged], 11),
    )
    booked = {(row["call_id"], row["attempt"]) for row in rows}
    return [each for each in earned if (each.call.call_id, each.attempt) in booked]


def _call_row(call: CallRow) -> Sequence[Any]:
    progress = call.progress
    return (
        call.call_id,
        progress.state.value,
        call.epoch,
        progress.answered_at,
        progress.ended_at,
        progress.total_duration_s,
        progress.connected_duration_s,
        progress.ended_by and progress.ended_by.value,
    )


def _earned_row(earned: Earned) -> Sequence[Any]:
    conversion = earned.conversion
    return (
        earned.call.call_id,
        earned.attempt,
        conversion.amount,
        conversion.trigger.value,
        earned.at,
        earned.event_id,
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
