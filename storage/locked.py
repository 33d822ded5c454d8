"""Rows that somebody keeps locked: the work that needs them fails, the rest of a batch goes on."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Hashable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Final, TypeVar

import asyncpg

from auction.domain.ids import CallId, OwnerId
from auction.ports import StorageUnavailableError
from storage.database import Connection, Database
from storage.queries import query
from storage.retries import retrying

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")

_FIND_LOCKED = query("find_locked")

LOOKS: Final = 3
LOOK_AGAIN_S: Final = 0.02

TRIES: Final = 3
"""How often a batch is run while it meets rows that are locked."""


class RowsLockedError(Exception):
    """A lock was not had in time; nothing of the transaction was stored."""


@dataclass(frozen=True, slots=True)
class Locked:
    """What other transactions have locked."""

    calls: frozenset[CallId]
    owners: frozenset[OwnerId]
    callers: frozenset[int]


def impatient(
    lending: AbstractAsyncContextManager[Connection],
) -> AbstractAsyncContextManager[Connection]:
    """A connection of which a lock that is not had in time raises RowsLockedError."""
    return _Impatient(lending)


class _Impatient:
    __slots__ = ("_lending",)

    def __init__(self, lending: AbstractAsyncContextManager[Connection]) -> None:
        self._lending = lending

    async def __aenter__(self) -> Connection:
        return await self._lending.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, asyncpg.LockNotAvailableError):
            # The lender would take it for a database that is away.
            locked = RowsLockedError()
            await self._lending.__aexit__(RowsLockedError, locked, None)
            raise locked from error
        await self._lending.__aexit__(kind, error, trace)


def locked_error() -> StorageUnavailableError:
    """What becomes of an item that needs a locked row."""
    return StorageUnavailableError("another transaction keeps its rows locked")


async def find_locked(
    database: Database,
    calls: Iterable[CallId],
    owners: Iterable[OwnerId] = (),
    callers: Iterable[int] = (),
) -> Locked:
    """Which of these are locked right now; calls also by an owner that they hold under."""
    async with impatient(database.connection()) as connection:
        rows = await connection.fetch(
            _FIND_LOCKED, sorted(set(calls)), sorted(set(owners)), sorted(set(callers))
        )
    return Locked(
        frozenset(row["call_id"] for row in rows if row["call_id"] is not None),
        frozenset(row["owner"] for row in rows if row["owner"] is not None),
        frozenset(row["caller"] for row in rows if row["caller"] is not None),
    )


async def _stuck_for_long(
    keys: Collection[Key], stuck: Callable[[Collection[Key]], Awaitable[Collection[Key]]]
) -> set[Key]:
    """Those found stuck at every look: the rest met a transaction that was soon over."""
    found = set(await stuck(keys))
    for _ in range(LOOKS - 1):
        if found:
            await asyncio.sleep(LOOK_AGAIN_S)
            found = set(await stuck(list(found)))
    return found


async def sparing_locked(
    keys: Collection[Key],
    run: Callable[[Collection[Key]], Awaitable[dict[Key, Result]]],
    stuck: Callable[[Collection[Key]], Awaitable[Collection[Key]]],
) -> dict[Key, Result | StorageUnavailableError]:
    """The results of ``run``; an error for each key that ``stuck`` finds to need a locked row.

    ``run`` may raise RowsLockedError, and is retried as ``retrying`` does.
    """
    left = list(keys)
    for _ in range(TRIES):
        if not left:
            break
        try:
            done = await retrying(lambda: run(left))  # noqa: B023 - awaited before the next turn
        except RowsLockedError:
            without = await _stuck_for_long(left, stuck)
            left = [key for key in left if key not in without]
        else:
            failed = {key: locked_error() for key in keys if key not in set(left)}
            return {**done, **failed}
    return {key: locked_error() for key in keys}
