"""Taking personal data of calls away, and whole calls, a batch in a transaction."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import asyncpg

from auction.domain.ids import CallId
from storage.database import Connection
from storage.queries import query

_PLAN_BY_KEYS = query("plan_by_keys")
_LOCK = query("lock_erasable")
_UNREPORTED = query("not_in_reports_yet")


class Erase(Enum):
    """What is taken away: who called, or all that is kept but the money."""

    PII = "pii"
    CALLS = "calls"


_BY_CALL: Final[Mapping[Erase, Mapping[str, str]]] = {
    Erase.PII: {
        "calls": query("erase_calls"),
        "reservations": query("erase_reservations"),
        "conversion_entries": query("erase_notes"),
        "call_claims": query("erase_claims"),
        "webhook_deliveries": query("erase_told"),
        "webhook_deliveries_pending": query("erase_words"),
    },
    Erase.CALLS: {
        "calls": query("forget_calls"),
        "reservations": query("forget_reservations"),
        "conversion_entries": query("erase_notes"),
        "webhook_deliveries": query("forget_deliveries"),
        "events": query("forget_events"),
        "next_steps": query("forget_next_steps"),
        "postbacks": query("forget_postbacks"),
        "call_claims": query("forget_claims"),
        "conversions": query("forget_conversions"),
    },
}
_BY_ARRIVAL: Final = {"traces": query("erase_traces"), "plans": query("erase_plans")}
_LEASES: Final = query("erase_leases")


@dataclass(slots=True)
class Erased:
    """Rows changed or deleted by table, and the calls that are still in use."""

    rows: Counter[str] = field(default_factory=Counter)
    in_use: list[CallId] = field(default_factory=list)

    def add(self, other: "Erased") -> None:
        """Count another batch, too."""
        self.rows += other.rows
        self.in_use += other.in_use


async def erase(connection: Connection, what: Erase, call_ids: Sequence[CallId]) -> Erased:
    """Take it away of these calls, in the connection's transaction.

    Calls in use are left alone: being decided, live, not in the reports yet, locked by others.
    """
    await connection.execute(_PLAN_BY_KEYS)
    locked = await connection.fetch(_LOCK, sorted(call_ids), what is Erase.CALLS)
    # Asked when they are locked: what is written now is written by nobody else.
    unreported = await connection.fetch(_UNREPORTED, [row["call_id"] for row in locked])
    early = {row["call_id"] for row in unreported}
    rows = [row for row in locked if row["call_id"] not in early]
    free = {row["call_id"] for row in rows}
    erased = Erased(in_use=[each for each in call_ids if each not in free])
    if rows:
        await _erase(connection, what, rows, erased.rows)
    return erased


async def _erase(
    connection: Connection, what: Erase, rows: Sequence[asyncpg.Record], counts: Counter[str]
) -> None:
    call_ids = [row["call_id"] for row in rows]
    arrivals = [row["received_at"] for row in rows]
    leases = [row["lease"] for row in rows if row["lease"] is not None]
    for table, statement in _BY_ARRIVAL.items():
        counts[table] += _count(await connection.execute(statement, call_ids, arrivals))
    for table, statement in _BY_CALL[what].items():
        counts[table] += _count(await connection.execute(statement, call_ids))
    if leases:
        counts["number_leases"] += _count(await connection.execute(_LEASES, leases))


def _count(status: str) -> int:
    return int(status.rpartition(" ")[2])
