"""What has fired, for those who look it up or see to it."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Final

import asyncpg

from auction.domain.alert_record import AlertRecord
from storage.database import Database
from storage.queries import query

_ACTIVE = query("active_alerts")
_HISTORY = query("alert_history")
_READ = query("read_alert")
_ACKNOWLEDGE_STATE = query("acknowledge_alert_state")
_ACKNOWLEDGE = query("acknowledge_alert")
_COUNT = query("count_active_alerts")

MOST_ACTIVE: Final = 1000

_TAKEN: Final = tuple(each.name for each in fields(AlertRecord))


class AlertBook:
    """Every method raises StorageUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def active(self) -> list[AlertRecord]:
        """What fires or is acknowledged, the newest first; the newest thousand."""
        async with self._database.unhurried() as connection:
            rows = await connection.fetch(_ACTIVE, MOST_ACTIVE)
        return [_record(row) for row in rows]

    async def history(
        self, limit: int, after: tuple[datetime, str] | None = None, rule: str | None = None
    ) -> list[AlertRecord]:
        """All that has fired, the newest first, from after the one that fired then."""
        async with self._database.unhurried() as connection:
            rows = await connection.fetch(_HISTORY, limit, *(after or (None, None)), rule)
        return [_record(row) for row in rows]

    async def acknowledge(self, alert_id: str, by: str) -> AlertRecord | None:
        """Somebody sees to it; the alert as it is then, None when there is none of this id."""
        async with self._database.transaction() as connection:
            await connection.execute(_ACKNOWLEDGE_STATE, alert_id)
            await connection.execute(_ACKNOWLEDGE, alert_id, by)
            row = await connection.fetchrow(_READ, alert_id)
        return None if row is None else _record(row)


async def count_active(database: Database) -> Mapping[str, int]:
    """How many alerts of each rule are active. Raises StorageUnavailableError."""
    async with database.connection() as connection:
        rows = await connection.fetch(_COUNT)
    return {row["rule"]: row["firing"] for row in rows}


def _record(row: asyncpg.Record) -> AlertRecord:
    return AlertRecord(**{name: row[name] for name in _TAKEN})
