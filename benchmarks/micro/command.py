"""``python -m benchmarks micro``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from benchmarks.options import OUTPUT

GROUP_NAMES: Final = (
    "parsing",
    "eligibility",
    "template",
    "mapping",
    "ranking",
    "transport",
    "ledger",
    "revision",
)
"""In the order in which a call meets them; the last one no call meets."""


@click.command("micro")
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(GROUP_NAMES),
    help="Only this group. May be given repeatedly.",
)
@click.option("--quick", is_flag=True, help="Few short values: rough figures in seconds.")
@click.option(
    "--pyperf",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file to write the values to as well, for `python -m pyperf compare_to`.",
)
@OUTPUT
def command(
    only: Sequence[str],
    quick: bool,  # noqa: FBT001 - click passes flags by name
    pyperf: Path | None,
    output: Path,
) -> None:
    """Measure single steps of a decision: what each costs the service.

    Pings go to buyers in a process of their own, the ledger works on a real PostgreSQL of its own.

    \b
    python -m benchmarks micro --quick
    python -m benchmarks micro --only transport
    """
    from benchmarks.micro.session import measure
    from benchmarks.micro.timing import QUICK, Effort

    groups = [name for name in GROUP_NAMES if not only or name in only]
    measure(groups, QUICK if quick else Effort(), output, pyperf)
