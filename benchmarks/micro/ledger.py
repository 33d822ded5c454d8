"""The steps of the ledger on a real, durable PostgreSQL, at several sizes of a batch."""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from itertools import count
from pathlib import Path
from typing import Final

from auction.domain.call import Call
from auction.domain.finishing import Action, Finish, Finished
from auction.domain.ids import CampaignId, OwnerId, PingId
from auction.domain.opening import Opened, Opening
from auction.domain.plan import Candidate
from auction.domain.reserving import Reserved, ReserveRequest
from auction.domain.usage import Usage
from auction.engine.plan import auction_candidate
from benchmarks.errors import BenchmarkError
from benchmarks.micro.samples import Sample, a_bid, a_call, a_sample
from benchmarks.micro.timing import Case, Stopwatch
from benchmarks.stack import running_database
from benchmarks.stack.marketplace import CAMPAIGN
from config.secret_box import SecretBox
from storage.database import Database
from storage.ledger import PostgresLedger
from storage.migrate import migrate
from storage.partitions import add_partitions
from storage.vault import CallerVault

CONNECTIONS: Final = 6
"""As many as the service has by default."""

BATCHES: Final = (1, 10, 50, 200)

_CAMPAIGN: Final = CampaignId(CAMPAIGN)
_LEASE_MS: Final = 60_000
_TRACE: Final = b"x" * 700
_ANSWER: Final = b"x" * 400


class Step(Enum):
    """What a decision asks of the ledger, in this order."""

    OPEN = "open"
    RESERVE = "reserve"
    FINISH = "finish"


@asynccontextmanager
async def ledger_cases(folder: Path) -> AsyncIterator[list[Case]]:
    """Every step at every size, on a server of its own."""
    async with running_database(folder) as server:
        await migrate(server.dsn)
        async with ledger_cases_on(server.dsn, BATCHES) as cases:
            yield cases


@asynccontextmanager
async def ledger_cases_on(dsn: str, sizes: Sequence[int]) -> AsyncIterator[list[Case]]:
    """Every step at these sizes, in a database that has the schema."""
    database = await Database.connect(dsn, min_size=CONNECTIONS, max_size=CONNECTIONS)
    try:
        await add_partitions(database)
        seen: dict[OwnerId, Usage] = {}
        vault = CallerVault(SecretBox(b"k" * 32), b"identity")
        ledger = PostgresLedger(database, vault, on_usage=seen.update, known_usage=lambda: seen)
        lives = _Lives(ledger, a_sample())
        yield [_case(lives, step, size) for size in sizes for step in Step]
        await ledger.close()
    finally:
        await database.close()


def _case(lives: "_Lives", step: Step, size: int) -> Case:
    async def measure(loops: int, stopwatch: Stopwatch) -> None:
        for _ in range(loops):
            await lives.play(step, size, stopwatch)

    title = f"{step.value}, {size} per batch" if size > 1 else f"{step.value}, alone"
    return Case(f"ledger.{step.value}.{size}", title, measure, per_loop=size)


class _Lives:
    """Decisions on fresh calls, a batch at a time; any one of their steps can be timed."""

    def __init__(self, ledger: PostgresLedger, sample: Sample) -> None:
        self._ledger = ledger
        self._sample = sample
        self._run = secrets.token_hex(4)
        self._numbers = count()

    async def play(self, timed: Step, size: int, stopwatch: Stopwatch) -> None:
        """Decide ``size`` calls, the stopwatch running during one step. Raises BenchmarkError."""
        calls = [a_call(next(self._numbers), self._run) for _ in range(size)]
        plans = [self._plan(call, place) for place, call in enumerate(calls)]
        epochs: list[int] = []
        for step in Step:
            if step is timed:
                with stopwatch.running():
                    results = await self._take(step, calls, plans, epochs)
            else:
                results = await self._take(step, calls, plans, epochs)
            if not all(isinstance(each, _EXPECTED[step]) for each in results):
                raise BenchmarkError(f"the ledger answered {results[0]} to {step.value}")
            if step is Step.OPEN:
                epochs = [each.epoch for each in results if isinstance(each, Opened)]

    async def _take(
        self,
        step: Step,
        calls: Sequence[Call],
        plans: Sequence[tuple[Candidate, ...]],
        epochs: Sequence[int],
    ) -> Sequence[object]:
        ledger = self._ledger
        if step is Step.OPEN:
            return await asyncio.gather(*(ledger.open(_opening(call)) for call in calls))
        steps = zip(calls, plans, epochs, strict=True)
        if step is Step.RESERVE:
            return await asyncio.gather(*(ledger.reserve(_reserve(*each)) for each in steps))
        return await asyncio.gather(*(ledger.finish(_finish(*each)) for each in steps))

    def _plan(self, call: Call, place: int) -> tuple[Candidate, ...]:
        """A place for every offer, and another offer first from call to call."""
        offers = self._sample.offers
        first = place % len(offers)
        expires_at = datetime.now(UTC) + timedelta(minutes=1)
        return tuple(
            auction_candidate(
                a_bid(offer, Decimal(60 - rank), expires_at),
                offer,
                PingId(f"{call.call_id}-{rank}"),
                test=False,
                payouts=self._sample.campaign.payouts,
            )
            for rank, offer in enumerate((*offers[first:], *offers[:first]))
        )


_EXPECTED: Final = {Step.OPEN: Opened, Step.RESERVE: Reserved, Step.FINISH: Finished}


def _opening(call: Call) -> Opening:
    return Opening(call, hashlib.sha256(call.call_id.encode()).digest(), 10_000, 1, _CAMPAIGN)


def _reserve(call: Call, plan: tuple[Candidate, ...], epoch: int) -> ReserveRequest:
    return ReserveRequest(call, _CAMPAIGN, epoch, 1, plan, 0, _TRACE, _LEASE_MS)


def _finish(call: Call, plan: tuple[Candidate, ...], epoch: int) -> Finish:
    return Finish(
        call,
        epoch,
        1,
        Action.ROUTE,
        _ANSWER,
        _TRACE,
        plan[0],
        plan[0].destination,
        lease_ms=_LEASE_MS,
        currency="USD",
        campaign=_CAMPAIGN,
    )
