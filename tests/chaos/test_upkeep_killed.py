"""kill -9 at any step of a look at alerts or of a scheduled change: each is done, once."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from auction.domain.report_figures import Figures
from storage.database import Database
from storage.managing import change
from storage.scheduling import add_scheduled
from tests.postgres.test_alerts import a_watch, store, store_figures

pytestmark = pytest.mark.chaos

ROOT = Path(__file__).parents[2]
STRIDE = 3
"""The short form tries one step in so many."""

EMPTIED = """
    truncate catalogue_items, catalogue_revisions, alerts, alert_states, webhook_deliveries,
        scheduled_changes, audit_entries, report_figures cascade
"""
PAUSED_LONG_AGO = "update alert_states set paused_at = now() - interval '31 minutes'"
LEFT = (
    "select rule, subject, resolved_at is null as active, resolution, pause from alerts",
    "select rule, subject, phase from alert_states",
    "select owner, webhook, event from webhook_deliveries",
    "select revision, origin from catalogue_revisions",
    "select kind, id, first_revision, last_revision, document::text from catalogue_items",
    "select kind, item_id, state, revision, error from scheduled_changes",
    "select origin, actor, kind, item_id, action from audit_entries",
)


class Upkeep:
    """The process that looks, or applies what is due, one time after the other."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def play(self, part: str, killed_at: int = 0) -> str:
        """One run; how it ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{killed_at} {part}\n".encode())
        async with asyncio.timeout(60):
            return (await self._process.stdout.readline()).decode().strip()


@pytest.fixture
async def upkeep(dsn: str) -> AsyncIterator[Upkeep]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos.killed_upkeep", dsn),
        cwd=ROOT,
        stdin=PIPE,
        stdout=PIPE,
    )
    yield Upkeep(process)
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()


async def timeouts_have_begun(database: Database) -> None:
    """The next look fires, pauses the offer and tells the webhook."""
    await store(database)
    await store_figures(database, 2, Figures(pinged=100, timeouts=50))


async def a_pause_is_over(database: Database) -> None:
    """The next look resolves the alert and resumes the offer."""
    await timeouts_have_begun(database)
    await (await a_watch(database)).look()
    async with database.connection() as connection:
        await connection.execute(PAUSED_LONG_AGO)


async def two_changes_are_due(database: Database) -> None:
    """One that can be applied and one that can't: its time comes later."""
    await store(database)
    async with change(database) as under_way:
        for patch in ({"weight": 7}, {"campaign": "gone"}):
            about = ("offer", "acme-auto", patch, datetime.now(UTC), "someone")
            await add_scheduled(under_way.connection, *about)


async def what_is_left(database: Database) -> dict[str, Any]:
    """Everything that must not depend on who died when."""
    async with database.connection() as connection:
        return {
            query: Counter(tuple(row) for row in await connection.fetch(query)) for query in LEFT
        }


@pytest.mark.parametrize(
    ("part", "begin", "rows"),
    [
        ("look", timeouts_have_begun, {0: 1, 2: 1, 3: 2}),
        ("look", a_pause_is_over, {0: 1, 1: 1, 2: 2, 3: 3}),
        ("due", two_changes_are_due, {3: 2, 5: 2}),
    ],
    ids=["an alert fires and pauses", "an alert resumes", "changes are due"],
)
async def test_whoever_is_killed_after_whichever_step_it_is_done_once(
    database: Database,
    upkeep: Upkeep,
    request: pytest.FixtureRequest,
    part: str,
    begin: Callable[[Database], Awaitable[None]],
    rows: dict[int, int],
) -> None:
    await begin(database)
    ended, steps = (await upkeep.play(part)).split()
    assert ended == "done"
    expected = await what_is_left(database)
    assert {place: expected[LEFT[place]].total() for place in rows} == rows

    assert (await upkeep.play(part)).startswith("done")
    assert await what_is_left(database) == expected, "repeating it changes nothing"

    every = 1 if request.config.getoption("--all-steps") else STRIDE
    for step in range(1, int(steps), every):
        async with database.connection() as connection:
            await connection.execute(EMPTIED)
        await begin(database)
        assert await upkeep.play(part, step) == "killed"
        assert (await upkeep.play(part)).startswith("done"), step
        assert await what_is_left(database) == expected, f"killed after step {step}"
