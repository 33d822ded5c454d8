"""What the benchmark of changes times is a change that is in force afterwards."""

from benchmarks.micro.revisions import revision_cases_on
from benchmarks.micro.timing import Stopwatch
from storage.catalogue import latest
from storage.database import Database


async def test_every_case_puts_its_changes_in_force(database: Database) -> None:
    cases = await revision_cases_on(database, 30)
    assert len({case.name for case in cases}) == 5
    for revisions, case in enumerate(cases, start=1):
        stopwatch = Stopwatch()
        await case.measure(2, stopwatch)
        assert stopwatch.wall_s > 0
        newest = await latest(database)
        assert newest is not None
        assert newest.revision == 1 + 2 * revisions
