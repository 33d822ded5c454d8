"""Command line options that several commands have."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from benchmarks.report.files import RESULTS
from benchmarks.stack.marketplace import Layout
from benchmarks.stack.parts import ServiceOptions
from benchmarks.stack.stack import StackOptions

_Command = TypeVar("_Command", bound=Callable[..., Any])

BUYERS = click.option(
    "--buyers",
    type=click.IntRange(1, 1000),
    default=10,
    show_default=True,
    help="How many are asked for a bid on every call.",
)
DELAY_MS = click.option(
    "--delay-ms",
    type=click.FloatRange(0, 1000),
    default=20.0,
    show_default=True,
    help="How long a buyer takes for every answer.",
)
OFFERS = click.option(
    "--offers",
    type=click.IntRange(0, 100_000),
    default=0,
    help="How many are configured in all, beside those of the buyers asked.  [default: no more]",
)
LAYOUT = click.option(
    "--layout",
    type=click.Choice([each.value for each in Layout]),
    default=Layout.FILTERS.value,
    show_default=True,
    help="Where the other offers stand: in other campaigns, or behind filters in the same.",
)
WORKERS = click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes of the service that decide calls.",
)
TRANSPORT = click.option(
    "--transport",
    type=click.Choice(["native", "aiohttp"]),
    help="How buyers are asked.  [default: the service's own]",
)
TLS = click.option("--tls", is_flag=True, help="Buyers listen with TLS and are verified.")
OUTPUT = click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=RESULTS,
    show_default=True,
    help="Folder for the report, as JSON and as one HTML page.",
)


def stack_options(command: _Command) -> _Command:
    """All options that ``read_stack_options`` reads."""
    for option in (TLS, TRANSPORT, WORKERS, LAYOUT, OFFERS, DELAY_MS, BUYERS):
        command = option(command)
    return command


def read_stack_options(values: dict[str, Any], profile: Path | None = None) -> StackOptions:
    """The stack that the options ask for; with ``profile`` its service is profiled into a file."""
    service = ServiceOptions(workers=values["workers"])
    if profile is not None:
        profiled = (sys.executable, "-m", "benchmarks.stack.profiled_service", str(profile))
        service = replace(service, launcher=profiled)
    return StackOptions(
        buyers=values["buyers"],
        offers=values["offers"],
        layout=Layout(values["layout"]),
        delay_ms=values["delay_ms"],
        transport=values["transport"],
        tls=values["tls"],
        service=service,
    )
