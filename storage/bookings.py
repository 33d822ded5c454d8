"""The money of calls: an append-only ledger of entries, and what each side comes to by them."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import orjson

from auction.domain.conversions import Booked, Entry, Side
from auction.domain.ids import CallId
from auction.domain.terms import Trigger

ENTRY_COLUMNS: Final = 13

BookedSides = Mapping[CallId, Mapping[Side, Booked]]
"""What the sides of calls come to, by call; a side that never converted is absent."""


def load_booked(stored: str) -> Mapping[Side, Booked]:
    """What the sides of a call come to, from a row of ``lock_books``."""
    rows = (_booked(*row) for row in orjson.loads(stored))
    return {booked.side: booked for booked in rows}


def _booked(
    side: str,
    attempt: int,
    trigger: str,
    amount: str,
    withdrawn: bool,  # noqa: FBT001 - the columns of a row
    percent: str | None,
    undone: Sequence[int] | None,
) -> Booked:
    return Booked(
        Side(side),
        attempt,
        Trigger(trigger),
        Decimal(amount),
        withdrawn,
        None if percent is None else Decimal(percent),
        frozenset(undone or ()),
    )


def entry_row(entry: Entry) -> Sequence[Any]:
    """An entry's columns."""
    return (
        entry.call_id,
        entry.side.value,
        entry.attempt,
        entry.kind.value,
        entry.trigger.value,
        entry.amount,
        entry.change,
        entry.at,
        entry.actor,
        entry.event_id,
        entry.note,
        entry.beyond_hold,
        entry.percent,
    )
