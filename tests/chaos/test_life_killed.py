"""kill -9 between any two steps of calls' lives, and everything is repeated: the same totals."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from storage.database import Database
from storage.report_folding import ReportFolding
from tests.ledger_steps import assert_balanced
from tests.report_steps import assert_figures_agree, fold_all, store_owners
from tests.whole_lives import a_busy_catalogue, assert_money_adds_up, empty_tables

pytestmark = pytest.mark.chaos

ROOT = Path(__file__).parents[2]
CATALOGUE = a_busy_catalogue()
STRIDE = 5
"""The short form tries one step in so many."""

CLAIMS_OVER = "update calls set decide_by = now() - interval '1 minute'"

CALLS = """
    select call_id, state, attempt, routed_by, offer, buyer, price, reason, answered_at, ended_at,
        total_duration_s, connected_duration_s, binding from calls
"""
HOLDS = """
    select call_id, attempt, state, offer, price, reason, holding::text, answered_at, ended_at,
        connected_duration_s, converted_at is not null as converted, paid_at is not null as paid
    from reservations where state not in ('held', 'released')
"""
ENTRIES = """
    select call_id, side, attempt, kind, trigger, amount, change, actor, event_id, beyond_hold
    from conversion_entries
"""
TOLD = "select call_id, event, data::text from webhook_deliveries"
REPORTS = "select call_id, event_id, result from events"
POSTBACKS = "select call_id, event_id, status, result from postbacks"
STEPS = "select call_id, attempt, reason, answer is not null as answered from next_steps"


class Lives:
    """The process that plays lives, one after the other."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def play(self, killed_at: int = 0) -> str:
        """One run; how it ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{killed_at}\n".encode())
        async with asyncio.timeout(60):
            return (await self._process.stdout.readline()).decode().strip()


@pytest.fixture
async def lives(dsn: str) -> AsyncIterator[Lives]:
    began = datetime.now(UTC) - timedelta(minutes=1)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos.killed_life", dsn, began.isoformat()),
        cwd=ROOT,
        stdin=PIPE,
        stdout=PIPE,
    )
    yield Lives(process)
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()


async def what_is_left(database: Database) -> dict[str, Any]:
    """Everything that must not depend on who died when; figures are what that comes to."""
    await fold_all(ReportFolding(database))
    await assert_figures_agree(database, CATALOGUE)
    found: dict[str, Any] = {"usage": await assert_balanced(database)}
    await assert_money_adds_up(database)
    async with database.connection() as connection:
        for query in (CALLS, HOLDS, ENTRIES, TOLD, REPORTS, POSTBACKS, STEPS):
            found[query] = Counter(tuple(row) for row in await connection.fetch(query))
    return found


async def test_whoever_is_killed_after_whichever_step_the_totals_are_the_same(
    database: Database, lives: Lives, request: pytest.FixtureRequest
) -> None:
    await store_owners(database, CATALOGUE)
    ended, steps = (await lives.play()).split()
    assert ended == "done"
    expected = await what_is_left(database)
    assert len(expected[ENTRIES]) >= 8

    assert (await lives.play()).startswith("done")
    assert await what_is_left(database) == expected, "repeating everything changes nothing"

    every = 1 if request.config.getoption("--all-steps") else STRIDE
    for step in range(1, int(steps), every):
        await empty_tables(database)
        assert await lives.play(step) == "killed"
        async with database.connection() as connection:
            await connection.execute(CLAIMS_OVER)
        assert (await lives.play()).startswith("done"), step
        assert await what_is_left(database) == expected, f"killed after step {step}"
