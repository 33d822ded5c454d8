"""Where the service spent its CPU time, when it ran under cProfile."""

import pstats
from pathlib import Path
from typing import Any, Final

from benchmarks.errors import BenchmarkError
from benchmarks.report import Table

SHOWN: Final = 30
"""How many functions are shown; the file has them all."""

_ROOT = Path(__file__).parents[2]


def profile_table(file: Path) -> Table:
    """The functions that took the most time themselves. Raises BenchmarkError without a profile."""
    try:
        stats: dict[tuple[str, int, str], Any] = pstats.Stats(str(file)).stats  # type: ignore[attr-defined]  # typeshed leaves it out
    except (OSError, EOFError, ValueError, TypeError) as error:
        message = f"the service left no profile in {file}: {error}"
        raise BenchmarkError(message) from error
    total = sum(own for _, _, own, _, _ in stats.values()) or 1.0
    slowest = sorted(stats.items(), key=lambda item: -item[1][2])[:SHOWN]
    rows = tuple(
        (_place(place), calls, own, 100 * own / total, cumulated)
        for place, (_, calls, own, cumulated, _) in slowest
    )
    columns = ("function", "calls", "own s", "%", "with what it calls s")
    return Table("Profile of the service, in CPU time", columns, rows)


def _place(place: tuple[str, int, str]) -> str:
    file, line, function = place
    if not line:
        return function
    path = Path(file)
    if path.is_relative_to(_ROOT):
        path = path.relative_to(_ROOT)
    return f"{'/'.join(path.parts[-3:])}:{line} {function}"
