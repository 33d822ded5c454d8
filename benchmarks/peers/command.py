"""``python -m benchmarks peers``."""

from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks.options import OUTPUT
from benchmarks.peers.builds import COMPARATORS
from benchmarks.peers.comparator import OURS_WHOLE

_NAMES = [*(each.name for each in COMPARATORS), OURS_WHOLE]


@click.command("peers")
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(_NAMES),
    help="Only this contestant. May be given repeatedly.",
)
@click.option(
    "--callers",
    multiple=True,
    type=click.IntRange(1, 4000),
    default=(16, 64),
    show_default=True,
    help="Closed loop: so many calls at once, each followed by another. May be given repeatedly.",
)
@click.option(
    "--delay-ms",
    multiple=True,
    type=click.FloatRange(0, 1000),
    default=(0.0, 20.0),
    show_default=True,
    help="How long a buyer takes for every answer. May be given repeatedly.",
)
@click.option(
    "--buyers",
    type=click.IntRange(1, 200),
    default=10,
    show_default=True,
    help="How many are asked for a bid on every call.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1, 100),
    default=3,
    show_default=True,
    help="How often each contestant has its turn.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.1, 600),
    default=2.0,
    show_default=True,
    help="Length of one contestant's turn in a round.",
)
@click.option("--quick", is_flag=True, help="One short round, to see that everything runs.")
@OUTPUT
def command(
    only: Sequence[str],
    callers: Sequence[int],
    delay_ms: Sequence[float],
    buyers: int,
    rounds: int,
    seconds: float,
    quick: bool,  # noqa: FBT001 - click passes flags by name
    output: Path,
) -> None:
    """Compare with the same fan-out by other people's means, all in one run.

    Each contestant asks the same buyers and answers the best bid: small servers without a database
    on FastAPI + httpx, aiohttp, Node + undici, Go and nginx + lua, our own bare fan-out, and the
    whole product with its database. They take turns, so that what else the machine does meets all
    of them. Those whose toolchain is missing are skipped and named.

    \b
    python -m benchmarks peers --quick
    python -m benchmarks peers --only go --only ours-bare --callers 64 --delay-ms 20
    """
    from benchmarks.peers.rounds import PeersOptions
    from benchmarks.peers.session import compare

    chosen = set(only or _NAMES)
    options = PeersOptions(
        [each for each in COMPARATORS if each.name in chosen],
        callers=callers,
        delays_ms=delay_ms,
        buyers=buyers,
        rounds=1 if quick else rounds,
        seconds=0.5 if quick else seconds,
        whole=OURS_WHOLE in chosen,
    )
    compare(options, output)
