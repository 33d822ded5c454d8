"""``python -m benchmarks``: the commands, each imported when it is wanted."""

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Final

import click

from benchmarks.errors import BenchmarkError

COMMANDS: Final[Mapping[str, str]] = {
    "load": "benchmarks.load.command",
    "scale": "benchmarks.scale.command",
    "peers": "benchmarks.peers.command",
    "micro": "benchmarks.micro.command",
    "reports": "benchmarks.reports.command",
}
"""The module of each command; it has a click command named ``command``."""


class LazyCommands(click.Group):
    """A group whose help is quick because only the command that runs is imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names, in the order in which they are of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """The command of that name, None when there is none."""
        module = COMMANDS.get(cmd_name)
        if module is None or find_spec(module.rpartition(".")[0]) is None:
            return None
        command: click.Command = import_module(module).command
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; a run without a result is told without a stack trace."""
        try:
            return super().invoke(ctx)
        except BenchmarkError as error:
            raise click.ClickException(str(error)) from None


@click.group(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measure the service under load: real processes, a real PostgreSQL, buyers that answer late.

    Everything runs on this machine, on free ports of the loopback interface, in a temporary folder,
    and is ended with the run. Each run prints its figures and writes JSON and one HTML page.

    Start with `python -m benchmarks load --duration 10`. What the figures mean, and what not to
    conclude from them: docs/benchmarks.md.
    """
