"""Numbers that pools give up although visitors hold them: told before a file is applied."""

from collections.abc import Iterable

from config.numbers import Pool
from storage.catalogue_items import POOL, CatalogueItem
from storage.database import Connection
from storage.number_leases import LiveLeases, live_leases


async def still_lent(
    connection: Connection, stored: Iterable[CatalogueItem], wanted: Iterable[CatalogueItem]
) -> list[str]:
    """A line for each pool that gives up numbers which visitors hold."""
    after = {each.id: _numbers(each) for each in wanted if each.kind == POOL}
    lines = []
    for pool in stored:
        gone = _numbers(pool) - after.get(pool.id, set()) if pool.kind == POOL else set()
        live = await live_leases(connection, pool.id, gone) if gone else None
        if live is not None:
            lines.append(f"! pool {pool.id} gives up numbers that {held_by(live)}")
    return lines


async def given_up(
    connection: Connection, before: CatalogueItem, after: CatalogueItem
) -> LiveLeases | None:
    """The leases of the numbers that a pool has no more; None where nobody holds one."""
    gone = _numbers(before) - _numbers(after)
    return await live_leases(connection, before.id, gone) if gone else None


def held_by(live: LiveLeases) -> str:
    """By how many visitors, and until when."""
    who = "1 visitor holds" if live.visitors == 1 else f"{live.visitors} visitors hold"
    return f"{who}, until {live.until_text} unless they stay"


def _numbers(pool: CatalogueItem) -> set[str]:
    return set(Pool.model_validate(pool.document).numbers)
