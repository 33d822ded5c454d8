"""The calls of a campaign with the traces of their first decisions, some hundreds at a time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg
import orjson

from auction.domain.call import Call
from auction.domain.ids import CampaignId
from storage.queries import query
from storage.records import CallRecords

_CALLS = query("calls_with_traces")

AT_ONCE: Final = 500
"""How many calls one statement looks at."""

PATIENCE_S: Final = 5.0
_EARLIER: Final = timedelta(microseconds=1)
_LAST: Final = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class TracedCall:
    """A decided call. ``trace`` is the JSON of its first decision, None where it is not kept.

    ``call`` is None where what it said is not kept.
    """

    call: Call | None
    revision: int
    trace: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class LookedAt:
    """``calls`` of the campaign, of so many calls that were ``looked_at``."""

    calls: Sequence[TracedCall]
    looked_at: int


class TracedCalls:
    """Reads in turn with others who read calls."""

    def __init__(self, records: CallRecords) -> None:
        self._records = records

    async def read(
        self, campaign: CampaignId, since: datetime, until: datetime
    ) -> AsyncIterator[LookedAt]:
        """The decided calls of a campaign that came from ``since`` on, before ``until``.

        Test calls are left out. Raises StorageUnavailableError.
        """
        # Nothing comes after this place at that moment: what came at ``since`` comes after it.
        place = (since - _EARLIER, _LAST)
        while True:
            async with self._records.connection(PATIENCE_S) as connection:
                rows = await connection.fetch(_CALLS, *place, until, AT_ONCE, campaign)
            if not rows:
                return
            place = (rows[-1]["received_at"], rows[-1]["call_id"])
            yield LookedAt(
                await asyncio.to_thread(self._calls, rows, campaign), rows[-1]["looked_at"]
            )

    def _calls(self, rows: Sequence[asyncpg.Record], campaign: CampaignId) -> list[TracedCall]:
        return [
            self._traced(row)
            for row in rows
            if row["campaign"] == campaign and row["decided_at"] is not None and not row["test"]
        ]

    def _traced(self, row: asyncpg.Record) -> TracedCall:
        call = None if row["erased_at"] is not None else self._records.listed_call(row)
        if row["trace"] is None:
            return TracedCall(call, row["revision"], None)
        trace = orjson.loads(row["trace"])
        return TracedCall(call, trace["revision"], trace)
