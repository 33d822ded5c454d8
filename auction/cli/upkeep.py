"""Commands for setting up and keeping a deployment."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from auction.cli.group import CONFIG, DATA_DIR, run, settings_of

if TYPE_CHECKING:
    from config.settings import Settings


@click.command("migrate")
@CONFIG
@DATA_DIR
@click.pass_context
def migrate_command(context: click.Context, data_dir: Path | None) -> None:
    """Bring the database schema up to date (`serve` does it too unless told not to)."""
    applied = run(_migrate(settings_of(context, data_dir=data_dir)))
    for name in applied:
        click.echo(f"applied {name}")
    click.echo("the schema is up to date")


@click.command("dsn")
@CONFIG
@DATA_DIR
@click.pass_context
def dsn_command(context: click.Context, data_dir: Path | None) -> None:
    """Print the URL of the database, for psql and pg_dump. It may hold a password.

    PINGPOST_DSN where that is set, else the embedded server of a service that is running.
    """
    from storage.embedded import running_dsn

    settings = settings_of(context, data_dir=data_dir)
    configured = settings.dsn.get_secret_value() if settings.dsn else None
    dsn = configured or running_dsn(settings.data_dir)
    if dsn is None:
        raise click.ClickException(f"no service is running on {settings.data_dir}")
    click.echo(dsn)


@click.command("secret-key")
def secret_key_command() -> None:
    """Print a new PINGPOST_SECRET_KEY. Keep it apart from backups of the database."""
    from config.secret_box import new_key

    click.echo(new_key())


@click.command("rotate-key")
@CONFIG
@DATA_DIR
@click.pass_context
def rotate_key_command(context: click.Context, data_dir: Path | None) -> None:
    """Put a new secret key in force: keys and stored secrets are sealed anew, all or nothing.

    Where PINGPOST_SECRET_KEY is set the new key is PINGPOST_NEW_SECRET_KEY, else one is made in the
    data directory. Killed in the middle, the old key or the new one is in force: run it again.
    """
    from auction.key_rotation import rotate_key

    rotation = run(rotate_key(settings_of(context, data_dir=data_dir)))
    done = rotation.rotated
    if done is None:
        click.echo("the new key was in force already")
    else:
        click.echo(f"sealed anew: {done.keys} keys, {done.documents} documents with secrets")
        if done.unreadable:
            click.echo(f"warning: {done.unreadable} secrets could not be opened", err=True)
    if not rotation.kept_in_file:
        click.echo("now make PINGPOST_SECRET_KEY the new key and unset PINGPOST_NEW_SECRET_KEY")


async def _migrate(settings: "Settings") -> list[str]:
    from auction.stores import reach_database
    from storage.migrate import migrate

    async with reach_database(settings) as dsn:
        return await migrate(dsn, pooler=settings.database_pooler)
