"""The money of calls: an append-only ledger of entries, and what each side comes to by them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from auction.domain.conversions import Booked, Entry, Side
from auction.domain.ids import CallId
from auction.domain.terms import Trigger
from storage.books import columns
from storage.database import Connection
from storage.queries import query

_READ = query("read_booked")
_WRITE = query("write_entries")

ENTRY_COLUMNS: Final = 13

BookedSides = Mapping[CallId, Mapping[Side, Booked]]
"""What the sides of calls come to, by call; a side that never converted is absent."""


async def read_booked(connection: Connection, call_ids: Iterable[CallId]) -> BookedSides:
    """What is booked of calls that are locked."""
    found: dict[CallId, dict[Side, Booked]] = {}
    for row in await connection.fetch(_READ, sorted(set(call_ids))):
        booked = Booked(
            Side(row["side"]),
            row["attempt"],
            Trigger(row["trigger"]),
            row["amount"],
            row["withdrawn"],
            row["percent"],
        )
        found.setdefault(row["call_id"], {})[booked.side] = booked
    return found


async def write_entries(connection: Connection, entries: Sequence[Entry]) -> None:
    """Append entries of calls that are locked, at most one per call and side, and apply them."""
    if entries:
        await connection.execute(_WRITE, *columns([entry_row(each) for each in entries], ENTRY_COLUMNS))


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

