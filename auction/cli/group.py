"""What all commands share: faults told in plain words, settings, the event loop."""

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from config.settings import Settings

Result = TypeVar("Result")


def _use_config(context: click.Context, _: click.Parameter, file: Path | None) -> None:
    root = context.find_root()
    root.obj = root.obj if file is None else file


CONFIG = click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    expose_value=False,
    callback=_use_config,
    help="A TOML file with settings, for example port = 8080.",
)
"""Before a command or after it, where the latter wins; ``settings_of`` reads the file."""

DATA_DIR = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the embedded PostgreSQL keeps its data (PINGPOST_DATA_DIR).",
)
MARKETPLACE_FILE = click.argument(
    "file", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)


class Commands(click.Group):
    """A group whose commands report faults line by line and exit with 1."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; what an operator can mend is told without a stack trace."""
        from auction.ports import StorageUnavailableError
        from config.faults import ConfigError
        from storage import errors

        try:
            return super().invoke(ctx)
        except ConfigError as error:
            for fault in error.faults:
                click.echo(f"error: {fault}", err=True)
        except StorageUnavailableError as error:
            click.echo(f"error: the database can't be used: {error}", err=True)
        except (
            errors.EmbeddedServerError,
            errors.PoolerError,
            errors.RevisionConflictError,
            errors.SchemaMismatchError,
            errors.SecretKeyError,
            OSError,
        ) as error:
            click.echo(f"error: {error}", err=True)
        raise click.exceptions.Exit(1)


def settings_of(context: click.Context, **flags: object) -> "Settings":
    """The settings with this command's flags on top. Raises ConfigError with every fault."""
    from config.settings import load_settings

    return load_settings(flags, context.find_root().obj)


def run(main: Coroutine[object, object, Result]) -> Result:
    """Run to completion, on uvloop where it is available."""
    if sys.platform == "win32":
        return asyncio.run(main)
    import uvloop

    return uvloop.run(main)
