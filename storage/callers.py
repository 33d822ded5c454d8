"""Callers whose other calls matter, locked so that no two calls of one are judged at once."""

from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

from auction.domain.conversions import PastConversion
from storage.database import Connection
from storage.queries import query

_LOCK = query("lock_callers")
_CONVERSIONS = query("past_conversions")

PastConversions: TypeAlias = Mapping[bytes, Sequence[PastConversion]]
"""What callers' attempts have earned, by the caller's hash."""


def caller_key(caller: bytes) -> int:
    """The number under which a caller is locked."""
    return int.from_bytes(caller[:8], signed=True)


async def lock_conversions(connection: Connection, callers: Collection[bytes]) -> PastConversions:
    """What these callers' attempts have earned, with the callers locked until the end.

    To be called when the calls are locked and before any usage is.
    """
    if not callers:
        return {}
    await connection.execute(_LOCK, sorted({caller_key(caller) for caller in callers}))
    found: dict[bytes, list[PastConversion]] = {}
    for row in await connection.fetch(_CONVERSIONS, sorted(set(callers))):
        past = PastConversion(
            row["call_id"],
            row["offer"],
            row["campaign"],
            row["source"],
            row["converted_at"],
            row["paid_at"],
        )
        found.setdefault(row["caller_hash"], []).append(past)
    return found
