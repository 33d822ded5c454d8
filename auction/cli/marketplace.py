"""Commands on the marketplace file."""

import asyncio
import os
from math import ceil
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

import click

from auction.cli.group import CONFIG, DATA_DIR, MARKETPLACE_FILE, run, settings_of

if TYPE_CHECKING:
    from config.check import CheckResult
    from config.settings import Settings
    from storage.announcing import Due

_BAR_MOVES_S: Final = 0.2


@click.command("check")
@MARKETPLACE_FILE
def check_command(file: Path) -> None:
    """Validate a marketplace FILE: print every fault with its path; exit 1 if there is any.

    Warnings tell what would load but may not do what you expect.
    """
    from config.check import check_file

    result = check_file(file, os.environ)
    _print(result)
    if result.faults:
        click.echo(f"{file}: {len(result.faults)} faults", err=True)
        raise SystemExit(1)
    assert result.marketplace is not None, "without faults there is a marketplace"
    offers = sum(len(buyer.offers) for buyer in result.marketplace.buyers)
    click.echo(
        f"{file}: good ({len(result.marketplace.campaigns)} campaigns, "
        f"{len(result.marketplace.buyers)} buyers, {offers} offers)"
    )


@click.command("apply")
@MARKETPLACE_FILE
@CONFIG
@DATA_DIR
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@click.option("--force", is_flag=True, help="Undo what was changed since the file was exported.")
@click.pass_context
def apply_command(
    context: click.Context, file: Path, data_dir: Path | None, *, dry_run: bool, force: bool
) -> None:
    """Make FILE the marketplace in the database; running services follow within a second.

    What changes is shown first; what the file omits is archived. A file with the `revision` of an
    export is refused when the marketplace was changed since. One that changes hundreds of offers is
    announced ahead: this waits until it is in force.
    """
    run(_apply(settings_of(context, data_dir=data_dir), file, dry_run=dry_run, force=force))


@click.command("export")
@CONFIG
@DATA_DIR
@click.pass_context
def export_command(context: click.Context, data_dir: Path | None) -> None:
    """Print the marketplace in force as a file that `pingpost apply` takes.

    Stored secrets come out as {keep: true}: applied to the same database they stay as they are.
    """
    click.echo(run(_export(settings_of(context, data_dir=data_dir))), nl=False)


async def _apply(settings: "Settings", file: Path, *, dry_run: bool, force: bool) -> None:
    from auction.applying import carry_out, plan_file
    from auction.stores import open_store

    async with open_store(settings) as store:
        where = (store.database, store.box, file, os.environ)
        plan = await plan_file(*where, voice_bots=settings.voice_bots)
        _print(plan.check)
        for line in (*plan.differences, *plan.warnings):
            click.echo(line)
        if dry_run:
            click.echo(f"{file}: nothing was changed, revision {plan.base} is in force")
            return
        applied = await carry_out(store.database, plan, force=force)
    if applied.due is not None:
        await _wait(file, applied.revision, applied.due)
    told = "now in force" if applied.changed else "in force already, nothing changed"
    click.echo(f"{file}: revision {applied.revision}, {told}")


async def _wait(file: Path, revision: int, due: "Due") -> None:
    """Until a revision is in force, by a clock that nobody sets."""
    from auction.cli.progress import progress

    at, seconds = due.at.isoformat(timespec="seconds"), ceil(due.remaining_s)
    click.echo(f"{file}: revision {revision} is stored, and in force in {seconds} s, at {at}")
    end = monotonic() + due.remaining_s
    with progress() as shown:
        bar = shown.add_task("Services make it ready", total=due.remaining_s)
        while (left := end - monotonic()) > 0:
            shown.update(bar, completed=due.remaining_s - left)
            await asyncio.sleep(min(left, _BAR_MOVES_S))


async def _export(settings: "Settings") -> str:
    from auction.marketplaces import export
    from auction.stores import open_store

    async with open_store(settings) as store:
        return await export(store.database)


def _print(result: "CheckResult") -> None:
    for fault in result.faults:
        click.echo(f"error: {fault}", err=True)
    for warning in result.warnings:
        click.echo(f"warning: {warning}", err=True)
