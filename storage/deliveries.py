"""What subscribers are still to be told: claimed by one worker at a time, settled, kept a while."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

import asyncpg
import orjson

from auction.domain.ids import CallId
from storage.books import columns
from storage.database import Connection, Database
from storage.queries import query

_PLAN_BY_KEYS = query("plan_by_keys")
_DUE = query("due_webhooks")
_RIPE = query("ripe_webhooks")
_CLAIM = query("claim_deliveries")
_DELIVERED = query("settle_delivered")
_FAILED = query("settle_failed")
_PUT_OFF = query("put_off_deliveries")
_PURGES = (query("purge_delivered"), query("purge_dead_letters"))
_DEAD = query("dead_letters")
_RESEND = query("resend_dead_letter")
_COUNT_DEAD = query("count_dead_letters")

LEASE_S: Final = 60.0
"""How long a claimed delivery is nobody else's; it is due again when its worker died."""

PUT_OFF_S: Final = 30.0
"""How long what can't be sent here waits before it is looked at again."""

PUT_OFF_AT_ONCE: Final = 200

DELIVERED_KEPT_DAYS: Final = 7
DEAD_KEPT_DAYS: Final = 30
PURGED_AT_ONCE: Final = 1000

MOST_COUNTED: Final = 10_000

Key = tuple[str, str]
"""An owner (``campaign:<id>``, ``buyer:<id>``) and the id of one of its webhooks."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one webhook. ``tries`` counts this one; ``facts`` is the call's record then."""

    event_id: str
    owner: str
    webhook: str
    event: str
    call_id: CallId
    at: datetime
    facts: Mapping[str, object] = field(repr=False)
    data: Mapping[str, object] = field(repr=False)
    tries: int

    @property
    def key(self) -> Key:
        """Which webhook it is for."""
        return self.owner, self.webhook


@dataclass(frozen=True, slots=True)
class Room:
    """How many deliveries of a webhook to claim.

    ``every_s``: none before the oldest has waited so long, but when they fill the room.
    """

    key: Key
    room: int
    every_s: float | None = None


@dataclass(frozen=True, slots=True)
class PutOff:
    """A webhook that can't be told; ``given_up_after_s``: what is older than that is dead."""

    key: Key
    error: str
    given_up_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do about webhooks that something is due for."""

    rooms: Sequence[Room] = ()
    put_off: Sequence[PutOff] = ()


class Planner(Protocol):
    """Decides what to claim; asked in a transaction, so neither method awaits anything."""

    def batches(self, due: Sequence[Key]) -> Sequence[Room]:
        """Those of the webhooks that are told of several events at once."""

    def plan(self, due: Sequence[Key]) -> Plan:
        """What to do about webhooks, of which those with batches are ripe. Never of none."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A delivery that was given up."""

    event_id: str
    owner: str
    webhook: str
    event: str
    call_id: CallId
    at: datetime
    tries: int
    last_error: str | None
    died_at: datetime


Position = tuple[datetime, str]
"""Where a page of dead letters begins: after the one that died then, with this event id."""


class Deliveries:
    """The rows of the outbox. Every method raises StorageUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, planner: Planner) -> list[Delivery]:
        """Make deliveries ours until their lease ends.

        Those of one webhook come one after another, the oldest first.
        """
        async with self._database.transaction() as connection:
            await connection.execute(_PLAN_BY_KEYS)
            due = await _due(connection, planner)
            planned = planner.plan(due) if due else Plan()
            if planned.put_off:
                told = [(*each.key, each.error, each.given_up_after_s) for each in planned.put_off]
                await connection.execute(_PUT_OFF, *columns(told, 4), PUT_OFF_AT_ONCE, PUT_OFF_S)
            if not planned.rooms:
                return []
            rows = await connection.fetch(_CLAIM, *_columns(planned.rooms), LEASE_S)
            return [_delivery(row) for row in rows]

    async def delivered(self, deliveries: Iterable[Delivery]) -> None:
        """These have arrived."""
        async with self._database.connection() as connection:
            await connection.execute(_DELIVERED, [each.event_id for each in deliveries])

    async def failed(self, deliveries: Sequence[Delivery], error: str, pause_s: float) -> list[str]:
        """These have not: they are due again after a pause, and dead when their time is over.

        Returns the event ids of the dead.
        """
        ids = [each.event_id for each in deliveries]
        tries = [each.tries for each in deliveries]
        async with self._database.connection() as connection:
            rows = await connection.fetch(_FAILED, ids, tries, [pause_s] * len(ids), error)
        return [row["event_id"] for row in rows if row["state"] == "dead"]

    async def purge(self) -> int:
        """Forget what was settled long ago, slice by slice, and return how many that were."""
        purged = 0
        for statement, days in zip(_PURGES, (DELIVERED_KEPT_DAYS, DEAD_KEPT_DAYS), strict=True):
            while True:
                async with self._database.connection() as connection:
                    done = await connection.execute(statement, days, PURGED_AT_ONCE)
                count = int(done.rpartition(" ")[2])
                purged += count
                if count < PURGED_AT_ONCE:
                    break
        return purged

    async def dead_letters(self, limit: int, after: Position | None = None) -> list[DeadLetter]:
        """What was given up, the newest first."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_DEAD, limit, *(after or (None, None)))
        return [_dead_letter(row) for row in rows]

    async def resend(self, event_id: str) -> bool:
        """Try a dead letter for another 24 hours; False when there is none of this id."""
        async with self._database.connection() as connection:
            done = await connection.execute(_RESEND, event_id)
        return bool(done.endswith(" 1"))


async def count_dead(database: Database) -> int:
    """How many deliveries were given up, 10,000 at most. Raises StorageUnavailableError."""
    async with database.connection() as connection:
        number: int = await connection.fetchval(_COUNT_DEAD, MOST_COUNTED)
        return number


async def _due(connection: Connection, planner: Planner) -> list[Key]:
    """The webhooks that something can be sent to now."""
    due = _keys(await connection.fetch(_DUE))
    batches = planner.batches(due)
    if not batches:
        return due
    ripe = _keys(await connection.fetch(_RIPE, *_columns(batches)))
    unripe = {each.key for each in batches}.difference(ripe)
    return [key for key in due if key not in unripe]


def _keys(rows: Iterable[asyncpg.Record]) -> list[Key]:
    return [(row["owner"], row["webhook"]) for row in rows]


def _columns(rooms: Iterable[Room]) -> Sequence[Sequence[Any]]:
    return columns([(*each.key, each.room, each.every_s) for each in rooms], 4)


def _delivery(row: asyncpg.Record) -> Delivery:
    values: dict[str, Any] = {name: row[name] for name in _TAKEN}
    return Delivery(facts=orjson.loads(row["facts"]), data=orjson.loads(row["data"]), **values)


_TAKEN: Final = ("event_id", "owner", "webhook", "event", "call_id", "at", "tries")


def _dead_letter(row: asyncpg.Record) -> DeadLetter:
    values: dict[str, Any] = {name: row[name] for name in _TAKEN}
    return DeadLetter(last_error=row["last_error"], died_at=row["settled_at"], **values)
