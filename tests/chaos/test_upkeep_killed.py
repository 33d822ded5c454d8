"""kill -9 at any step of a look at alerts or of a scheduled change: each is done, once."""

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from auction.domain.report_figures import Figures
from storage.database import Database
from storage.managing import change
from storage.scheduling import add_scheduled
from tests.chaos.retelling import a_story
from tests.postgres.test_alerts import a_watch, store, store_figures

pytestmark = pytest.mark.chaos

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
    dsn: str,
    request: pytest.FixtureRequest,
    part: str,
    begin: Callable[[Database], Awaitable[None]],
    rows: dict[int, int],
) -> None:
    every = 1 if request.config.getoption("--all-steps") else STRIDE
    await begin(database)
    async with a_story("tests.chaos.killed_upkeep", dsn, part=part) as upkeep:
        steps, expected = await upkeep.play_twice(lambda: what_is_left(database))
        assert {place: expected[LEFT[place]].total() for place in rows} == rows
        for step in range(1, steps, every):
            async with database.connection() as connection:
                await connection.execute(EMPTIED)
            await begin(database)
            await upkeep.die(step)
            await upkeep.live()
            assert await what_is_left(database) == expected, f"killed after step {step}"
