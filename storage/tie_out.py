"""The calls that one buyer took, page by page, for comparing them with the buyer's own file."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import asyncpg

from auction.domain.ids import BuyerId
from auction.domain.tie_out import SoldCall
from storage.database import Database
from storage.holds import HoldState
from storage.queries import query
from storage.vault import CallerVault

_PAGE_END = query("tie_out_page_end")
_PAGE = query("tie_out_page")

PAGE: Final = 5_000
"""How many calls one statement looks at."""

LONGEST_SEARCH: Final = timedelta(hours=1)
"""How long after its arrival a call may be sent to the buyer: other buyers were tried before."""

_NOTHING: Final = Decimal(0)
_BEFORE_ALL: Final = ""


async def read_sold(
    database: Database,
    vault: CallerVault,
    buyer: BuyerId,
    since: datetime,
    until: datetime,
    page: int = PAGE,
) -> AsyncIterator[list[SoldCall]]:
    """The routes that the buyer was given from ``since`` on and before ``until``, by arrival.

    A page may be empty. Test calls and failed attempts are there, but not ``due``. Raises
    StorageUnavailableError; SecretBoxError when callers were sealed under another key.
    """
    place: tuple[datetime, str] | None = (since - LONGEST_SEARCH, _BEFORE_ALL)
    while place is not None:
        async with database.connection() as connection:
            end = await connection.fetchrow(_PAGE_END, *place, until, page)
            upto = (None, None) if end is None else (end["received_at"], end["call_id"])
            rows = await connection.fetch(_PAGE, buyer, *place, *upto, until)
        yield [_sold(row, vault) for row in rows if since <= row["start"] < until]
        place = None if end is None else (end["received_at"], end["call_id"])


def _sold(row: asyncpg.Record, vault: CallerVault) -> SoldCall:
    ids = (row["call_id"], row["post_id"], row["bid_id"])
    return SoldCall(
        call_id=row["call_id"],
        attempt=row["attempt"],
        ids=frozenset(each for each in ids if each is not None),
        caller=vault.open(row["sealed"], row["call_id"]).caller.number,
        start=row["start"],
        total_s=row["total_duration_s"],
        connected_s=row["connected_duration_s"],
        amount=row["amount"] or _NOTHING,
        due=not row["test"] and row["state"] != HoldState.FAILED.value,
    )
