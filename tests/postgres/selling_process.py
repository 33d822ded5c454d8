"""One of several processes that sell calls at the same time, for the race test.

Usage: ``python selling_process.py DSN NAME CALLS``. Prints ``ready``, waits for a line, then sells
as fast as it can and prints, as JSON, which calls it has sold.
"""

import asyncio
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from auction.domain.finishing import Finished
from auction.domain.ids import OfferId, offer_owner
from auction.domain.plan import Candidate
from auction.domain.reserving import Reserved
from auction.domain.terms import Cap, Measure, Period
from storage.batch import BatchLimits
from storage.database import Database
from storage.ledger import PostgresLedger
from tests.ledger_steps import (
    BUYER_OWNER,
    a_candidate,
    a_finish,
    a_ledger,
    a_recent_call,
    a_request,
    from_number,
    limits,
    open_call,
)
from tests.patience import patiently

OFFERS = ("east", "west")
BUYER_LIMITS = limits(
    BUYER_OWNER, Cap(Measure.CALLS, Period.MONTH, 7), Cap(Measure.ANSWERED, Period.DAY, 20)
)


def the_plan() -> tuple[Candidate, ...]:
    """Two offers of one buyer; of the caps that overlap the buyer's on calls is the tightest."""
    return tuple(
        a_candidate(
            name,
            offer_limits=limits(
                offer_owner(OfferId(name)), Cap(Measure.CALLS, Period.DAY, 5), concurrency=6
            ),
            buyer_limits=BUYER_LIMITS,
        )
        for name in OFFERS
    )


async def sell(ledger: PostgresLedger, name: str, number: int) -> str | None:
    call = a_recent_call(f"{name}-{number}", caller=from_number(number))
    plan = the_plan()[:: 1 if number % 2 else -1]
    await patiently(lambda: open_call(ledger, call))
    reserved = await patiently(lambda: ledger.reserve(a_request(call, *plan)))
    won = plan[reserved.position] if isinstance(reserved, Reserved) else None
    assert await patiently(lambda: ledger.finish(a_finish(call, won))) == Finished()
    return None if won is None else call.call_id


async def main(dsn: str, name: str, calls: int) -> None:
    database = await Database.connect(dsn, min_size=4)
    ledger = a_ledger(database, limits=BatchLimits(lanes=2, max_size=8))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    sold = await asyncio.gather(*(sell(ledger, name, number) for number in range(calls)))
    await database.close()
    sys.stdout.write(json.dumps([call_id for call_id in sold if call_id is not None]) + "\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
