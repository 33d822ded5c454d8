"""Whatever calls go through and whoever folds, figures are what the raw rows come to."""

import asyncio
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from auction.domain.report_question import By, Question, Summed
from storage.report_figures import ask
from storage.report_folding import ReportFolding
from storage.report_upkeep import ReportUpkeep
from tests.builders import NEW_YORK
from tests.property.test_life_machine import LifeMachine
from tests.report_steps import assert_figures_agree, fold_all, store_owners


class ReportMachine(LifeMachine):
    """Whole lives, and folders that come and go meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.run(store_owners(self.database, self.catalogue))

    @rule(at_once=st.integers(1, 6))
    def some_is_folded(self, at_once: int) -> None:
        self.run(ReportFolding(self.database, at_once).fold())

    @rule(at_once=st.integers(1, 6))
    def two_fold_at_once(self, at_once: int) -> None:
        folders = [ReportFolding(self.database, at_once) for _ in range(2)]
        self.run(asyncio.gather(*(each.fold() for each in folders)))

    @rule(turns=st.integers(1, 40))
    def a_folder_dies(self, turns: int) -> None:
        self.run(self.die_folding(turns))

    @rule()
    def the_day_is_added_up(self) -> None:
        upkeep = ReportUpkeep(self.database, lambda: NEW_YORK)
        self.run(upkeep.add_up(datetime.now(UTC) + timedelta(days=3)))

    async def die_folding(self, turns: int) -> None:
        folding = asyncio.create_task(ReportFolding(self.database).fold())
        for _ in range(turns):
            await asyncio.sleep(0)
        folding.cancel()
        await asyncio.gather(folding, return_exceptions=True)

    async def everything_ends(self) -> None:
        await super().everything_ends()
        await fold_all(ReportFolding(self.database, 7))
        await assert_figures_agree(self.database, self.catalogue)
        by_days = [await self.asked(by) for by in By]
        async with self.database.connection() as connection:
            await connection.execute("truncate report_whole_days")
        assert [await self.asked(by) for by in By] == by_days

    async def asked(self, by: By) -> list[Summed]:
        """All there is, from days where there are any."""
        since, until = datetime.now(UTC) - timedelta(days=9), datetime.now(UTC) + timedelta(days=9)
        found = await ask(self.database, Question(since, until, [since], by))
        return sorted(found, key=lambda each: (each.figure_class.value, each.place))


def test_figures_are_what_the_raw_rows_come_to(dsn: str) -> None:
    machine = type("Machine", (ReportMachine,), {"dsn": dsn})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=7,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow],
            report_multiple_bugs=False,
        ),
    )
