"""The small measurements of the ledger decide real calls."""

from benchmarks.micro.ledger import Step, ledger_cases_on
from benchmarks.micro.timing import Stopwatch
from storage.database import Database


async def test_every_step_is_timed_on_calls_that_are_decided(dsn: str, database: Database) -> None:
    async with ledger_cases_on(dsn, sizes=(1, 10)) as cases:
        assert len(cases) == 2 * len(Step)
        for case in cases:
            stopwatch = Stopwatch()
            await case.measure(2, stopwatch)
            assert stopwatch.wall_s > 0, case.name
    async with database.connection() as connection:
        decided = await connection.fetchval(
            "select count(*) from calls where decided_at is not null"
        )
    assert decided == len(Step) * 2 * (1 + 10)
