"""kill -9 between any two steps of calls' lives, and everything is repeated: the same totals."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from storage.database import Database
from storage.report_folding import ReportFolding
from tests.chaos.retelling import Story, a_story
from tests.ledger_steps import assert_balanced
from tests.report_steps import assert_figures_agree, fold_all, store_owners
from tests.whole_lives import a_busy_catalogue, assert_money_adds_up, empty_tables

pytestmark = pytest.mark.chaos

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


@pytest.fixture
async def lives(dsn: str) -> AsyncIterator[Story]:
    began = datetime.now(UTC) - timedelta(minutes=1)
    async with a_story("tests.chaos.killed_life", dsn, began.isoformat()) as story:
        yield story


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
    database: Database, lives: Story, request: pytest.FixtureRequest
) -> None:
    await store_owners(database, CATALOGUE)
    steps, expected = await lives.play_twice(lambda: what_is_left(database))
    assert len(expected[ENTRIES]) >= 8

    every = 1 if request.config.getoption("--all-steps") else STRIDE
    for step in range(1, steps, every):
        await empty_tables(database)
        await lives.die(step)
        async with database.connection() as connection:
            await connection.execute(CLAIMS_OVER)
        await lives.live()
        assert await what_is_left(database) == expected, f"killed after step {step}"
