"""``pingpost``: the commands. Each imports what it needs when it runs: ``--help`` is quick."""

import click

from auction.cli.group import CONFIG, Commands
from auction.cli.marketplace import apply_command, check_command, export_command
from auction.cli.reconcile import reconcile_command
from auction.cli.replay import replay_command
from auction.cli.serve import demo_command, serve_command, simulate_buyers_command, worker_command
from auction.cli.suppress import suppress_command
from auction.cli.tokens import token_group
from auction.cli.upkeep import (
    dsn_command,
    migrate_command,
    rotate_key_command,
    secret_key_command,
)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@CONFIG
@click.version_option(package_name="pingpost", prog_name="pingpost")
def main() -> None:
    """An asynchronous ping-post auction engine for phone calls.

    Start with `pingpost demo`. Settings are PINGPOST_* variables, a TOML file given by --config,
    or flags; flags win over variables, variables over the file.
    """


main.add_command(serve_command)
main.add_command(worker_command)
main.add_command(demo_command)
main.add_command(simulate_buyers_command)
main.add_command(check_command)
main.add_command(apply_command)
main.add_command(export_command)
main.add_command(replay_command)
main.add_command(reconcile_command)
main.add_command(token_group)
main.add_command(dsn_command)
main.add_command(migrate_command)
main.add_command(secret_key_command)
main.add_command(rotate_key_command)
main.add_command(suppress_command)
