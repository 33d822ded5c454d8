"""When a revision comes into force: at once, or announced ahead where services need time for it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from storage.catalogue_items import (
    BUYER,
    CAMPAIGN,
    DELIVERY_PROFILE,
    MARKETPLACE,
    OFFER,
    Changes,
)
from storage.database import Connection, Database
from storage.queries import query

_TIMEOUT_S: Final = 60.0

_TOUCHED = query("catalogue_touched")
_MADE_ANEW = query("catalogue_made_anew")
_ANNOUNCE = query("catalogue_announce")
_DUE = query("catalogue_due")


@dataclass(frozen=True, slots=True)
class Pace:
    """How long services are given to make a revision ready.

    ``at_once`` offers made anew need no time of their own; more of them ``base_s`` and
    ``per_offer_s`` each, altogether ``most_s`` at most.
    """

    at_once: int = 250
    base_s: float = 2.0
    per_offer_s: float = 0.003
    most_s: float = 60.0

    def ahead_s(self, offers: int) -> float:
        """How long before it is in force a revision of so many new offers is announced."""
        if offers <= self.at_once:
            return 0.0
        return min(self.most_s, self.base_s + offers * self.per_offer_s)


PACE: Final = Pace()
"""Several times what was measured: see docs/performance.md."""

AT_ONCE: Final = Pace(most_s=0.0)
"""Nothing is waited for."""


@dataclass(frozen=True, slots=True)
class Due:
    """When an announced revision comes into force, and how long that is from now on."""

    at: datetime
    remaining_s: float


async def announce(
    connection: Connection, revision: int, offers: int = 0, pace: Pace = PACE
) -> datetime | None:
    """Tell services of a revision that makes so many offers anew, when it is committed.

    Returns when it comes into force, None: then. It never does before the one it follows.
    """
    wait = (pace.ahead_s(offers), pace.most_s)
    at: datetime | None = await connection.fetchval(_ANNOUNCE, revision, *wait)
    return at


async def due(database: Database, revision: int) -> Due | None:
    """When a revision comes into force; None where it is or should be, or is not there.

    Raises StorageUnavailableError.
    """
    async with database.connection() as connection:
        row = await connection.fetchrow(_DUE, revision)
    if row is None:
        return None
    # A clock that was set back must not put off for hours what was announced by it.
    return Due(row["in_force_at"], min(row["remaining_s"], PACE.most_s))


async def made_anew(connection: Connection, revision: int, difference: Changes) -> int:
    """How many offers services make anew for a revision that has been written."""
    touched = await _touched(connection, revision, difference)
    if not any(touched.values()):
        return sum(item.kind == OFFER for item in difference.added)
    everything = bool(touched[MARKETPLACE] or touched[DELIVERY_PROFILE])
    owners = (touched[BUYER], touched[CAMPAIGN])
    count: int = await connection.fetchval(
        _MADE_ANEW, revision, everything, *owners, timeout=_TIMEOUT_S
    )
    return count


async def _touched(
    connection: Connection, revision: int, difference: Changes
) -> dict[str, list[str]]:
    """By kind, what offers are made of and this revision has changed."""
    touched: dict[str, list[str]] = {kind: [] for kind in _SURROUNDINGS}
    if _kinds(difference).isdisjoint(_SURROUNDINGS):
        return touched
    for row in await connection.fetch(_TOUCHED, revision, timeout=_TIMEOUT_S):
        touched[row["kind"]].append(row["id"])
    return touched


def _kinds(difference: Changes) -> set[str]:
    kinds: Iterable[str] = (kind for kind, _ in difference.closed)
    return {*kinds, *(item.kind for item in difference.added)}


_SURROUNDINGS: Final = (MARKETPLACE, DELIVERY_PROFILE, BUYER, CAMPAIGN)
