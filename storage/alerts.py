"""Where alert rules stand: read and written by one process at a time, whatever becomes of it."""

import secrets
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import asyncpg
import orjson

from auction.domain.alerting import QUIET, AlertPhase, AlertState, Resolution
from storage.books import columns
from storage.database import Connection, Database
from storage.queries import query

_TAKE = query("take_alert_turn")
_END = query("end_alert_turn")
_KEEP = query("keep_alert_turn")
_STATES = query("alert_states")
_LOCK_STATES = query("lock_alert_states")
_PUT = query("put_alert_states")
_DROP = query("drop_alert_states")
_ADD = query("add_alerts")
_ESCALATE = query("escalate_alerts")
_RESOLVE = query("resolve_alerts")
_DELIVER = query("write_alert_deliveries")
_PURGE = query("purge_alerts")

KEPT_DAYS: Final = 400
PURGED_AT_ONCE: Final = 1000

Key = tuple[str, str]
"""A rule and one of its subjects."""


@dataclass(frozen=True, slots=True)
class HeldState:
    """A state as it is stored; ``alert_id`` names what has fired, if anything has."""

    state: AlertState = QUIET
    alert_id: str | None = None


@dataclass(frozen=True, slots=True)
class Fired:
    """An alert that begins; ``pauses``: its offer is to be paused."""

    alert_id: str
    key: Key
    name: str
    measure: str
    reading: float
    threshold: float
    at: datetime
    pauses: bool


@dataclass(frozen=True, slots=True)
class AlertNews:
    """Something that a webhook is to be told; ``owner`` is ``alert:<rule>``."""

    owner: str
    webhook: str
    event: str
    data: Mapping[str, object] = field(repr=False)


@dataclass(slots=True)
class AlertChanges:
    """What one look has changed."""

    states: dict[Key, HeldState] = field(default_factory=dict)
    fired: list[Fired] = field(default_factory=list)
    escalated: list[str] = field(default_factory=list)
    resolved: list[tuple[str, Resolution]] = field(default_factory=list)
    news: list[AlertNews] = field(default_factory=list)


class AlertTurn:
    """The right to look now, held until the transaction ends; ``now`` is the database's."""

    def __init__(self, connection: Connection, now: datetime, revision: int) -> None:
        self.connection = connection
        self.now = now
        self.revision = revision

    async def states(self, *, final: bool = False) -> dict[Key, HeldState]:
        """Every state that is not quiet; ``final``: nobody else changes them until the end."""
        if final:
            await self.connection.execute(_LOCK_STATES)
        rows = await self.connection.fetch(_STATES)
        return {(row["rule"], row["subject"]): _held(row) for row in rows}

    async def keep(self) -> None:
        """Show that we are still at it: a transaction that idles is taken for a frozen process."""
        await self.connection.execute(_KEEP)

    async def save(self, changes: AlertChanges) -> None:
        """Write what has changed, and end the turn."""
        await self._put(changes.states)
        if changes.fired:
            await self.connection.execute(_ADD, *columns([_row(one) for one in changes.fired], 9))
        if changes.escalated:
            await self.connection.execute(_ESCALATE, changes.escalated)
        if changes.resolved:
            await self.connection.execute(_RESOLVE, *columns(changes.resolved, 2))
        await self._tell(changes.news)
        await self.connection.execute(_PURGE, KEPT_DAYS, PURGED_AT_ONCE)
        await self.connection.execute(_END)

    async def _put(self, states: Mapping[Key, HeldState]) -> None:
        quiet = [key for key, held in states.items() if held == HeldState()]
        if quiet:
            await self.connection.execute(_DROP, *columns(quiet, 2))
        rows = [_state_row(key, held) for key, held in states.items() if held != HeldState()]
        if rows:
            await self.connection.execute(_PUT, *columns(rows, 9))

    async def _tell(self, news: Iterable[AlertNews]) -> None:
        rows = [
            (secrets.token_hex(16), one.owner, one.webhook, one.event, _json(one.data))
            for one in news
        ]
        if rows:
            await self.connection.execute(_DELIVER, *columns(rows, 5))


@asynccontextmanager
async def alert_turn(database: Database, every_s: float) -> AsyncIterator[AlertTurn | None]:
    """Our turn, None where another process has it or had it less than ``every_s`` seconds ago.

    It is over with the body; what was not saved then was never seen. Raises
    StorageUnavailableError.
    """
    async with database.transaction() as connection:
        row = await connection.fetchrow(_TAKE, every_s)
        yield None if row is None else AlertTurn(connection, row["now"], row["revision"])


def _held(row: asyncpg.Record) -> HeldState:
    state = AlertState(
        AlertPhase(row["phase"]),
        row["since"],
        row["good_since"],
        row["escalated"],
        row["paused_at"],
        row["counted_from"],
    )
    return HeldState(state, row["alert_id"])


def _state_row(key: Key, held: HeldState) -> Sequence[object]:
    state = held.state
    return (
        *key,
        state.phase.value,
        state.since,
        state.good_since,
        state.escalated,
        state.paused_at,
        state.counted_from,
        held.alert_id,
    )


def _row(fired: Fired) -> Sequence[object]:
    return (
        fired.alert_id,
        *fired.key,
        fired.name,
        fired.measure,
        fired.reading,
        fired.threshold,
        fired.at,
        "wanted" if fired.pauses else None,
    )


def _json(data: Mapping[str, object]) -> str:
    return orjson.dumps(dict(data)).decode()
