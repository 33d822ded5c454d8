"""Many at once: the last slots of overlapping caps, and everybody working on the same calls."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from pathlib import Path

from auction.domain.call import Call
from auction.domain.ids import OfferId, offer_owner
from auction.domain.plan import Candidate
from auction.domain.reserving import Reserved, ReserveResult
from auction.domain.switch_events import CallEvent, EventType
from auction.domain.terms import Period
from storage.batch import BatchLimits
from storage.database import Database
from storage.events import CallEvents
from storage.sweeper import Sweeper
from tests.ledger_steps import (
    BUYER_OWNER,
    LEASE_OVER,
    a_candidate,
    a_finish,
    a_ledger,
    a_recent_call,
    a_request,
    an_event,
    assert_balanced,
    from_number,
    limits,
    open_call,
    rewind,
)
from tests.patience import patiently

SELLER = Path(__file__).parent / "selling_process.py"
CALLS_EACH = 100
TIME_S = 300.0


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


CONCURRENCY = 9

SMALL_BATCHES = BatchLimits(lanes=2, max_size=10)

AT_ONCE = 30
"""Calls under way: all wait for one buyer's row, and more would wait longer than anyone may."""


class Floor:
    """A worker: its own connections, its own batches."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.ledger = a_ledger(database, limits=SMALL_BATCHES)
        self.events = CallEvents(database, lambda _: None, limits=SMALL_BATCHES)
        self.sweeper = Sweeper(database, batch=10)

    async def handle(self, number: int, reporter: "Floor") -> None:
        """A call's whole life, each of a different kind; its events come in at another worker."""
        call = a_recent_call(f"call-{number}", caller=from_number(number % 7))
        plan = [
            a_candidate(name, buyer_limits=limits(BUYER_OWNER, concurrency=CONCURRENCY))
            for name in ("east", "west", "north")
        ]
        plan = plan[number % 3 :] + plan[: number % 3]
        await patiently(lambda: open_call(self.ledger, call))
        reserved = await self.reserve(call, plan)
        if isinstance(reserved, Reserved) and number % 4 == 0:
            plan = plan[reserved.position + 1 :]
            reserved = await self.reserve(call, plan)
        won = plan[reserved.position] if isinstance(reserved, Reserved) else None
        finish = a_finish(call, None if number % 9 == 0 else won)
        await patiently(lambda: self.ledger.finish(finish))
        if number % 5 == 0:
            await rewind(self.database, LEASE_OVER, [call.call_id])
            sweepers = (self.sweeper, reporter.sweeper)
            await asyncio.gather(*(patiently(each.sweep) for each in sweepers))
        kinds = (EventType.ANSWERED, EventType.ENDED)
        reports = [an_event(call, kind, 60) for kind in kinds[:: 1 if number % 2 else -1]]
        await asyncio.gather(*(reporter.record(report) for report in reports * 2))

    async def reserve(self, call: Call, plan: Sequence[Candidate]) -> ReserveResult:
        return await patiently(lambda: self.ledger.reserve(a_request(call, *plan)))

    async def record(self, report: CallEvent) -> None:
        await patiently(lambda: self.events.record(report))


async def test_deciders_switches_and_sweepers_at_once_leave_the_books_balanced(dsn: str) -> None:
    databases = [await Database.connect(dsn, max_size=8) for _ in range(3)]
    floors = [Floor(database) for database in databases]
    highest = 0

    async def watch() -> None:
        nonlocal highest
        while True:
            usage = await assert_never_over(databases[0])
            highest = max(highest, usage)

    room = asyncio.Semaphore(AT_ONCE)

    async def handle(number: int) -> None:
        async with room:
            await floors[number % 3].handle(number, floors[(number // 3) % 3])

    watching = asyncio.create_task(watch())
    async with asyncio.timeout(TIME_S):
        await asyncio.gather(*(handle(number) for number in range(300)))
    watching.cancel()
    await asyncio.wait([watching])
    assert watching.cancelled()
    assert 0 < highest <= CONCURRENCY
    for owner, usage in (await assert_balanced(databases[0])).items():
        assert usage.live == 0, owner
    for database in databases:
        await database.close()


async def assert_never_over(database: Database) -> int:
    """The buyer's live calls at this moment, as stored."""
    async with database.connection() as connection:
        live: int | None = await connection.fetchval(
            "select counters[1] from usage_counters where owner = $1", BUYER_OWNER
        )
    assert live is None or 0 <= live <= CONCURRENCY
    return live or 0
