"""``python -m benchmarks load``."""

from pathlib import Path
from typing import Any

import click

from benchmarks.load.options import DEFAULT_IN_FLIGHT, DEFAULT_RATE, LoadOptions
from benchmarks.options import OUTPUT, read_stack_options, stack_options


@click.command("load")
@click.option(
    "--in-flight",
    type=click.IntRange(1, 4000),
    multiple=True,
    help="Closed loop: so many calls at once, each followed by another. May be given repeatedly.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0.1, 50_000),
    multiple=True,
    help="Open loop: so many calls a second on a fixed schedule. May be given repeatedly.",
)
@click.option("--ramp", is_flag=True, help="Search the highest rate that holds.")
@click.option(
    "--duration",
    type=click.FloatRange(0.2, 7200),
    default=10.0,
    show_default=True,
    help="Seconds of each part; 600 shows whether memory grows.",
)
@click.option(
    "--warmup",
    type=click.FloatRange(0.2, 600),
    default=3.0,
    show_default=True,
    help="Seconds of load before anything is measured.",
)
@click.option("--events", is_flag=True, help="Calls are answered and ended as well.")
@click.option(
    "--sample",
    type=click.IntRange(0, 10_000),
    default=200,
    show_default=True,
    help="How many calls' records are read for their exact overhead.",
)
@click.option(
    "--limit-ms",
    type=click.FloatRange(1, 10_000),
    default=20.0,
    show_default=True,
    help="Ramp: the p99 of overhead that a rate must stay under.",
)
@click.option(
    "--ramp-from",
    type=click.FloatRange(1, 50_000),
    default=150.0,
    show_default=True,
    help="Ramp: the first rate.",
)
@click.option(
    "--step",
    type=click.FloatRange(0.5, 600),
    default=4.0,
    show_default=True,
    help="Ramp: seconds of each rate.",
)
@stack_options
@click.option("--profile", is_flag=True, help="Run the service under cProfile; distorts figures.")
@OUTPUT
def command(output: Path, *, profile: bool, **values: Any) -> None:  # noqa: ANN401 - click's options, of many types
    """Load the service with calls and measure what they cost and how long they take.

    Without --in-flight, --rate and --ramp it does all three: 64 in flight, 300 calls/s, the ramp.

    \b
    In flight  what a call costs: CPU time of the service alone, per call
    Rate       how long a call takes: latency counts from the intended start,
               so a service that stalls can't hide it
    Ramp       the highest rate whose p99 of overhead stays under --limit-ms

    Overhead is the decision time less the buyers' delays. A run in which calls are not auctioned
    among all buyers fails and says what became of them.

    \b
    python -m benchmarks load --in-flight 64 --duration 5
    python -m benchmarks load --rate 300 --events --duration 600     does memory grow?
    python -m benchmarks load --in-flight 1000 --delay-ms 1000 --offers 20000   how much memory?
    python -m benchmarks load --ramp --workers 2
    """
    from benchmarks.load.session import load

    if profile and values["workers"] > 1:
        raise click.BadParameter("works with one worker only", param_hint="--profile")
    file = output / "service.prof" if profile else None
    load(_load_options(values), read_stack_options(values, file), output, file)


def _load_options(values: dict[str, Any]) -> LoadOptions:
    everything = not (values["in_flight"] or values["rate"] or values["ramp"])
    return LoadOptions(
        in_flight=(DEFAULT_IN_FLIGHT,) if everything else values["in_flight"],
        rates=(DEFAULT_RATE,) if everything else values["rate"],
        ramp=everything or values["ramp"],
        duration_s=values["duration"],
        warmup_s=values["warmup"],
        events=values["events"],
        sample=values["sample"],
        ramp_from=values["ramp_from"],
        limit_ms=values["limit_ms"],
        step_s=values["step"],
    )
