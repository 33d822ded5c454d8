"""Loads of the documentation in small: ``python -m tests.docs.small_loads load --rate 100``.

What a page shows is read by the command first, as it stands: an option that it does not have, or a
value out of its range, fails. Then it is run with sizes that end within seconds.
"""

import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

import click

from benchmarks.group import main

SIZES: Final[Mapping[str, str]] = {
    # A limit that no rate holds: the ramp goes down from a low one, which is little work.
    "load": "--duration 0.5 --warmup 0.2 --sample 5 --step 0.5 --ramp-from 5 --limit-ms 1 "
    "--buyers 2 --delay-ms 5 --offers 20",
    "scale": "--duration 0.3 --warmup 0.2 --buyers 1,2 --offers 10,20 --workers 1,2 --in-flight 2",
    "peers": "--rounds 1 --seconds 0.1 --buyers 2",
    "micro": "--quick",
    "reports": "--calls 1000 --days 8 --offers 10 --sources 2 --rounds 1",
}
"""What is appended: the last of an option counts."""

FEWER: Final[Mapping[str, str]] = {"--rate": "5", "--in-flight": "4", "--callers": "4"}
"""Values of options that may be given repeatedly, so that one more would not replace them."""


def read(arguments: Sequence[str]) -> None:
    """Raises click.UsageError unless the command takes these arguments."""
    with click.Context(main) as group:
        command = main.get_command(group, arguments[0])
        if command is None:
            raise click.UsageError(f"there is no command {arguments[0]}")
        command.make_context(arguments[0], list(arguments[1:]), parent=group)


def small(arguments: Sequence[str]) -> list[str]:
    """The same command, of a size that ends within seconds."""
    options = (FEWER.get(name, each) for name, each in pairwise(("", *arguments)))
    return [*options, *SIZES[arguments[0]].split()]


if __name__ == "__main__":
    read(sys.argv[1:])
    main(small(sys.argv[1:]))
