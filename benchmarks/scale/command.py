"""``python -m benchmarks scale``."""

from pathlib import Path
from typing import Any

import click

from benchmarks.options import DELAY_MS, OUTPUT, TLS, TRANSPORT
from benchmarks.scale.points import Axis, ScaleOptions
from benchmarks.stack.stack import StackOptions

_DEFAULTS = ScaleOptions()


class Numbers(click.ParamType[tuple[int, ...]]):
    """Whole numbers, separated by commas."""

    name = "numbers"

    def __init__(self, most: int) -> None:
        """None may be above ``most``, or below 1."""
        self._most = most

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """The numbers, in rising order."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(sorted({int(each) for each in str(value).split(",")}))
        except ValueError:
            self.fail(f"{value!r} is not a list of numbers such as 1,10,50", param, ctx)
        if numbers[0] < 1 or numbers[-1] > self._most:
            self.fail(f"each must be from 1 to {self._most:,}", param, ctx)
        return numbers


def _text(numbers: tuple[int, ...]) -> str:
    return ",".join(map(str, numbers))


@click.command("scale")
@click.option(
    "--only",
    type=click.Choice([axis.value for axis in Axis]),
    multiple=True,
    help="Measure along this axis alone. May be given repeatedly.",
)
@click.option(
    "--buyers",
    type=Numbers(1000),
    default=_text(_DEFAULTS.buyers),
    show_default=True,
    help="How many buyers are asked on a call.",
)
@click.option(
    "--offers",
    type=Numbers(100_000),
    default=_text(_DEFAULTS.offers),
    show_default=True,
    help="How many offers are configured, of which 10 are eligible for a call.",
)
@click.option(
    "--workers",
    type=Numbers(64),
    default=_text(_DEFAULTS.workers),
    show_default=True,
    help="How many processes decide calls.",
)
@click.option(
    "--in-flight",
    type=click.IntRange(1, 4000),
    help="Calls at once.  [default: as many as keep 640 pings under way, 4 to 64]",
)
@click.option(
    "--duration",
    type=click.FloatRange(0.2, 600),
    default=_DEFAULTS.duration_s,
    show_default=True,
    help="Seconds of each point.",
)
@click.option(
    "--warmup",
    type=click.FloatRange(0.2, 600),
    default=_DEFAULTS.warmup_s,
    show_default=True,
    help="Seconds of load before a point is measured.",
)
@DELAY_MS
@TRANSPORT
@TLS
@OUTPUT
def command(output: Path, **values: Any) -> None:  # noqa: ANN401 - click's options, of many types
    """Measure how the cost of a call grows: with buyers, offers, workers, services, a standby.

    \b
    buyers   every buyer more should cost as much as the one before
    offers   offers that are not eligible should cost next to nothing, whether they
             stand in other campaigns or behind filters in the same
    workers  two should do more than one, as far as there are cores
    services the same for services that only share the database
    standbys what it costs that each commit waits for a second server

    Each point starts a stack of its own and plays one short closed loop. All points take five
    minutes or so; most of it is loading 20,000 offers.

    \b
    python -m benchmarks scale --only buyers --buyers 1,10,50 --duration 3
    python -m benchmarks scale --only offers --offers 10,1000
    """
    from benchmarks.scale.session import scale

    axes = tuple(Axis(each) for each in values["only"]) or tuple(Axis)
    options = ScaleOptions(
        axes=axes,
        buyers=values["buyers"],
        offers=values["offers"],
        workers=values["workers"],
        in_flight=values["in_flight"],
        duration_s=values["duration"],
        warmup_s=values["warmup"],
    )
    base = StackOptions(
        delay_ms=values["delay_ms"], transport=values["transport"], tls=values["tls"]
    )
    scale(options, base, output)
