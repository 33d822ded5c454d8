"""The last slots of overlapping caps, wanted by many calls in two processes at once."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

from auction.domain.ids import OfferId, offer_owner
from auction.domain.terms import Period
from storage.database import Database
from tests.ledger_steps import BUYER_OWNER, assert_balanced

SELLER = Path(__file__).parent / "selling_process.py"
CALLS_EACH = 100
TIME_S = 60.0


async def a_seller(dsn: str, name: str) -> Process:
    """A process that waits for the word to start."""
    seller = await asyncio.create_subprocess_exec(
        sys.executable, str(SELLER), dsn, name, str(CALLS_EACH), stdin=PIPE, stdout=PIPE
    )
    assert seller.stdout is not None
    assert await seller.stdout.readline() == b"ready\n"
    return seller


async def test_two_hundred_calls_for_the_last_seven_slots_sell_exactly_seven(
    dsn: str, database: Database
) -> None:
    async with asyncio.timeout(TIME_S):
        sellers = [await a_seller(dsn, name) for name in ("one", "two")]
        outputs = await asyncio.gather(*(seller.communicate(b"go\n") for seller in sellers))
    sold = [call_id for output, _ in outputs for call_id in json.loads(output)]
    assert len(sold) == 7
    async with database.connection() as connection:
        rows = await connection.fetch("select call_id from calls where state = 'routed'")
        decided = await connection.fetchval("select count(*) from calls where answer is not null")
    assert sorted(row["call_id"] for row in rows) == sorted(sold)
    assert decided == 2 * CALLS_EACH
    usage = await assert_balanced(database)
    assert usage[BUYER_OWNER].periods[Period.MONTH].current.used[0] == 7
    offers = [usage[offer_owner(OfferId(name))].live for name in ("east", "west")]
    assert sum(offers) == 7
    assert max(offers) <= 5
