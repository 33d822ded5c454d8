"""The report of a load run."""

from dataclasses import asdict

from benchmarks.load.figures import load_figures
from benchmarks.load.notes import load_notes
from benchmarks.load.options import LoadOptions
from benchmarks.load.parts import Found
from benchmarks.load.plots import load_plots
from benchmarks.load.tables import load_tables
from benchmarks.report import Cell, Environment, Report, Table
from benchmarks.stack.stack import StackOptions

PROFILED = "The service ran under cProfile: its times are for the profile only, not for comparing."


def make_load_report(
    found: Found,
    stack: StackOptions,
    options: LoadOptions,
    environment: Environment,
    profile: Table | None = None,
) -> Report:
    """Everything that was found, with the conditions under which it was."""
    notes = tuple(load_notes(found, stack, environment))
    return Report(
        command="load",
        settings=stack_settings(stack) | _load_settings(options),
        environment=environment,
        figures=load_figures(found),
        tables=(*load_tables(found), *(() if profile is None else (profile,))),
        plots=tuple(load_plots(found)),
        notes=notes if profile is None else (PROFILED, *notes),
    )


def stack_settings(options: StackOptions) -> dict[str, Cell]:
    """The settings of the processes, as a report shows them."""
    return {
        "buyers": options.buyers,
        "offers": max(options.offers, options.buyers),
        "layout": options.layout.value,
        "delay_ms": options.delay_ms,
        "transport": options.transport,
        "tls": options.tls,
        "workers": options.service.workers,
    }


def _load_settings(options: LoadOptions) -> dict[str, Cell]:
    lists = {"in_flight", "rates"}
    return {
        name: ", ".join(f"{each:g}" for each in value) if name in lists else value
        for name, value in asdict(options).items()
    }
