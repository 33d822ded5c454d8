"""``pingpost suppress``: a file of numbers onto a list, or off it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from auction.cli.group import CONFIG, DATA_DIR, run, settings_of

if TYPE_CHECKING:
    from auction.domain.ids import SuppressionId
    from auction.web.number_import import How, Tally
    from config.settings import Settings

_PIECE = 256 * 1024
_FORMS = {".csv": "CSV", ".ndjson": "NDJSON", ".jsonl": "NDJSON"}


@click.command("suppress")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--list", "name", required=True, help="The list's id in the marketplace.")
@click.option("--replace", is_flag=True, help="The file's numbers are the whole list from now on.")
@click.option("--remove", is_flag=True, help="Take the file's numbers off the list.")
@CONFIG
@DATA_DIR
@click.pass_context
def suppress_command(
    context: click.Context,
    file: Path,
    name: str,
    replace: bool,  # noqa: FBT001 - click passes flags by name
    remove: bool,  # noqa: FBT001 - click passes flags by name
    data_dir: Path | None,
) -> None:
    """Put the phone numbers of FILE on a suppression list; running services follow at once.

    One number a line, or .csv (a column named number or phone, else the first), or .ndjson.
    """
    from auction.domain.ids import SuppressionId
    from auction.web.number_import import How

    if replace and remove:
        raise click.UsageError("give either --replace or --remove")
    how = How.REPLACE if replace else How.REMOVE if remove else How.ADD
    settings, size = settings_of(context, data_dir=data_dir), file.stat().st_size
    tally, numbers = run(_suppress(settings, file, size, SuppressionId(name), how))
    for line, message in tally.faults:
        click.echo(f"warning: {file}:{line} {message}", err=True)
    changed = "removed" if remove else "added"
    click.echo(
        f"{name}: {tally.lines} lines, {tally.changed} {changed}, {tally.unchanged} unchanged, "
        f"{tally.invalid} invalid; {numbers} numbers now"
    )


async def _suppress(
    settings: "Settings", file: Path, size: int, name: "SuppressionId", how: "How"
) -> "tuple[Tally, int]":
    from auction.cli.progress import progress
    from auction.marketplaces import load_terms
    from auction.stores import open_store
    from auction.web.number_import import NothingReadableError, NumberImport
    from auction.web.number_lines import LineForm, LineTooLongError, NumberReader
    from storage import catalogue
    from storage.keys import ServiceKey, service_key
    from storage.suppressions import SuppressedNumbers
    from storage.vault import CallerVault

    async with open_store(settings) as store:
        newest = await catalogue.latest(store.database)
        terms = await load_terms(store.database, 0 if newest is None else newest.revision)
        if name not in terms.suppression_lists:
            raise click.ClickException(f"the marketplace has no list {name!r}")
        identity = await service_key(store.database, store.box, ServiceKey.CALLER_IDENTITY)
        vault = CallerVault(store.box, identity)
        reader = NumberReader(LineForm[_FORMS.get(file.suffix, "TEXT")], terms.default_country)
        lists = SuppressedNumbers(store.database)
        with progress() as shown:
            bar = shown.add_task("Numbers", total=size)
            work = NumberImport(lists, name, reader, vault.hash_number)
            try:
                tally = await work.run(how, _pieces(file, partial(shown.advance, bar)))
            except (LineTooLongError, NothingReadableError) as error:
                told = str(error) or "a line is too long: this is no list of numbers"
                raise click.ClickException(f"{file}: {told}") from None
        return tally, await lists.count(name)


async def _pieces(file: Path, advance: Callable[[float], None]) -> AsyncIterator[bytes]:
    with file.open("rb") as source:
        while piece := await asyncio.to_thread(source.read, _PIECE):
            yield piece
            advance(len(piece))
