"""``python -m benchmarks reports``."""

from pathlib import Path

import click

from benchmarks.options import OUTPUT


@click.command("reports")
@click.option("--calls", type=click.IntRange(1000), default=10_000_000, show_default=True)
@click.option("--days", type=click.IntRange(8, 400), default=30, show_default=True)
@click.option("--offers", type=click.IntRange(10, 1000), default=50, show_default=True)
@click.option("--sources", type=click.IntRange(1, 200), default=10, show_default=True)
@click.option("--rounds", type=click.IntRange(1, 50), default=3, show_default=True)
@OUTPUT
def command(calls: int, days: int, offers: int, sources: int, rounds: int, output: Path) -> None:
    """Time reports on the figures that so many calls leave behind, ten pings each.

    The figures are made up in a PostgreSQL of their own: every offer gets calls from every source
    in every quarter of an hour. The calls themselves are not there, since no report reads them.
    The defaults take some minutes and about 2 GB in the temporary folder.

    \b
    python -m benchmarks reports
    python -m benchmarks reports --calls 100000 --days 8 --offers 10 --sources 2
    """
    from benchmarks.reports.filling import Extent
    from benchmarks.reports.session import measure

    measure(Extent(calls, days, offers, sources), rounds, output)
