"""All there is to measure, by group."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final

from benchmarks.micro.decisions import eligibility_cases, ranking_cases
from benchmarks.micro.dialects import mapping_cases, parsing_cases, template_cases
from benchmarks.micro.exchanges import transport_cases
from benchmarks.micro.ledger import ledger_cases
from benchmarks.micro.revisions import revision_cases
from benchmarks.micro.timing import Case, Effort, Timing, time_case
from benchmarks.progress import Steps

Group = Callable[[Path], AbstractAsyncContextManager[Sequence[Case]]]


def _pure(cases: Callable[[], Sequence[Case]]) -> Group:
    @asynccontextmanager
    async def group(_folder: Path) -> AsyncIterator[Sequence[Case]]:
        yield cases()

    return group


GROUPS: Final[dict[str, Group]] = {
    "parsing": _pure(parsing_cases),
    "eligibility": _pure(eligibility_cases),
    "template": _pure(template_cases),
    "mapping": _pure(mapping_cases),
    "ranking": _pure(ranking_cases),
    "transport": transport_cases,
    "ledger": ledger_cases,
    "revision": revision_cases,
}


async def time_groups(
    names: Sequence[str], folder: Path, effort: Effort, steps: Steps
) -> dict[str, list[Timing]]:
    """Every case of these groups, a step for each group. Raises BenchmarkError."""
    timings: dict[str, list[Timing]] = {}
    for name in names:
        steps.tell(name)
        place = folder / name
        place.mkdir()
        timings[name] = []
        async with GROUPS[name](place) as cases:
            for case in cases:
                steps.tell(case.name)
                timings[name].append(await time_case(case, effort))
        steps.over()
    return timings
